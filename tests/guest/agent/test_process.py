import pytest

from sampan.guest.agent import process
from sampan.guest.agent.fault import AgentError


def test_run_gives_status_and_words():
    assert process.run(["/bin/sh", "-c", "echo out; echo err >&2; exit 3"]) == (3, "out\nerr")


def test_programs_read_nothing():
    assert process.run(["/bin/cat"]) == (0, "")


def test_a_missing_program():
    with pytest.raises(AgentError, match="cannot start /no/such: No such file"):
        process.run(["/no/such"])


def test_output_goes_where_it_should(tmp_path):
    with (tmp_path / "out").open("wb") as out, (tmp_path / "err").open("wb") as err:
        pid = process.start(
            ["/bin/sh", "-c", "echo a; echo b >&2"], stdout=out.fileno(), stderr=err.fileno()
        )
        assert process.wait(pid) == 0
    assert (tmp_path / "out").read_text() == "a\n"
    assert (tmp_path / "err").read_text() == "b\n"


def test_a_signal_is_a_status_as_in_shells():
    assert process.run(["/bin/sh", "-c", "kill -9 $$"])[0] == 137


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, "ended with status 0"),
        (3, "ended with status 3"),
        (137, "was killed by SIGKILL"),
        (255, "ended with status 255"),
    ],
)
def test_explain(status, words):
    assert process.explain(status) == words


CAUGHT = f"{1 << 14:016x}"


@pytest.mark.parametrize(
    ("pids", "caught", "deaf"),
    [
        ("300\t1", "0" * 16, True),
        ("300\t1", CAUGHT, False),
        ("300\t8", "0" * 16, False),
        ("300", "0" * 16, False),
        ("1", "0" * 16, False),
    ],
)
def test_who_would_not_hear_sigterm(pids, caught, deaf):
    assert process.is_deaf(f"Name:\tx\nNSpid:\t{pids}\nSigCgt:\t{caught}\n") is deaf


def test_an_odd_status_is_not_deaf():
    assert not process.is_deaf("")


def test_find():
    assert process.find("no-such-program") is None
    found = process.find("no-such-program", "sh")
    assert found is not None
    assert found.endswith("/sh")
