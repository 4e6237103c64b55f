import pytest

from sampan.base import log


def test_a_library_is_silent(capfd):
    log.get("sampan.test").error("nobody asked")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("verbosity", "shown"), [(-1, "E"), (0, "E"), (1, "EW"), (2, "EWI"), (3, "EWID"), (9, "EWID")]
)
def test_verbosity_chooses_levels(capfd, verbosity, shown):
    log.to_stderr(verbosity)
    logger = log.get("sampan.test")
    for method in (logger.error, logger.warning, logger.info, logger.debug):
        method("said")
    lines = capfd.readouterr().err.splitlines()
    assert lines == [f"{letter} sampan.test: said" for letter in shown]


def test_asking_twice_does_not_say_things_twice(capfd):
    log.to_stderr(1)
    log.to_stderr(1)
    log.get("sampan.test").error("once")
    assert capfd.readouterr().err.count("once") == 1
