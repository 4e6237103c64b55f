import os

import pytest

from sampan.machine.registry import logfile
from sampan.machine.registry.logfile import LogFile


@pytest.fixture
def path(tmp_path):
    return tmp_path / "console.log"


def test_plain_text_of_the_last_run(path):
    for text in (b"before", b"\x1b[1mhello\x1b[m\r\n", b"one\r\ntwo\r\n"):
        log = LogFile(path)
        log.write(text)
        log.close()
    assert logfile.read(path) == b"one\ntwo\n"
    assert logfile.read(path, tail=1) == b"two\n"
    assert logfile.read(path, tail=0) == b""
    assert path.stat().st_mode & 0o777 == 0o600


def test_it_is_bounded(path):
    log = LogFile(path, limit=10)
    for number in range(20):
        log.write(b"%03d\n" % number)
    log.close()
    kept = logfile.read(path)
    assert kept.endswith(b"018\n019\n")
    assert len(kept) <= 20
    assert all(each.stat().st_size <= 10 for each in path.parent.iterdir())


def test_a_file_that_cannot_be_written(path, caplog):
    log = LogFile(path)
    os.close(log._descriptor)
    log._descriptor = os.open("/dev/full", os.O_WRONLY)
    log.write(b"x")
    log.write(b"y")
    assert "is not written any more: No space left on device" in caplog.text


def test_following(path):
    log = LogFile(path, limit=10)
    log.write(b"one\ntwo\n")
    seen = b""
    steps = iter([b"three\n", b"four\n", b"five\nsix\n", b""])

    def goes_on():
        text = next(steps)
        log.write(text)
        return bool(text)

    for data in logfile.follow(path, goes_on, tail=1, poll_s=0):
        seen += data
    log.close()
    assert seen == b"two\nthree\nfour\nfive\nsix\n"


def test_following_what_is_not_there_yet(path):
    answers = iter([True, True, False])

    def goes_on():
        if next(answers):
            log = LogFile(path)
            log.write(b"hello\n")
            log.close()
            return True
        return False

    assert b"".join(logfile.follow(path, goes_on, poll_s=0)) == b"hello\n"
