import io
import sys

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
    if verbosity < 2:  # for users, who do not know the modules
        assert lines == ["sampan: said"] * len(shown)
    else:
        assert lines == [f"{letter} sampan.test: said" for letter in shown]


def test_as_objects(capfd):
    log.to_stderr(1, json=True)
    log.get("sampan.test").warning("said of %s", "é")
    assert capfd.readouterr().err == '{"event": "warning", "message": "said of é"}\n'


def test_on_a_terminal_the_carriage_is_returned(monkeypatch):
    terminal = io.StringIO()
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stderr", terminal)
    log.to_stderr(1)
    log.get("sampan.test").warning("two\nlines")
    assert terminal.getvalue() == "sampan: two\r\nlines\r\n"
    terminal.close()  # who shouts into the void does no harm
    log.get("sampan.test").warning("more")


def test_asking_twice_does_not_say_things_twice(capfd):
    log.to_stderr(1)
    log.to_stderr(1)
    log.get("sampan.test").error("once")
    assert capfd.readouterr().err.count("once") == 1
