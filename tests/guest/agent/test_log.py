import os

from sampan.guest.agent import log


def test_appends_and_makes_folders(tmp_path):
    path = tmp_path / "a" / "b.log"
    for text in (b"one\n", b"two\n"):
        descriptor = log.open_log(str(path))
        os.write(descriptor, text)
        os.close(descriptor)
    assert path.read_text() == "one\ntwo\n"


def test_a_small_log_stays(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"x" * log.LIMIT)
    assert not log.turn_over(str(path))
    assert path.stat().st_size == log.LIMIT


def test_a_large_log_is_turned_over_while_somebody_writes(tmp_path):
    path = tmp_path / "x.log"
    writer = log.open_log(str(path))
    line = b"%07d\n"
    count = log.LIMIT // 8 + 1
    os.write(writer, b"".join(line % n for n in range(count)))
    assert log.turn_over(str(path))
    os.write(writer, b"after\n")
    os.close(writer)
    assert path.read_bytes() == b"after\n"
    older = (tmp_path / "x.log.1").read_bytes().splitlines(keepends=True)
    assert older[-1] == line % (count - 1)
    assert all(len(each) == 8 for each in older)  # whole lines only


def test_no_log_is_no_fault(tmp_path):
    assert not log.turn_over(str(tmp_path / "none"))
    assert log.tail(str(tmp_path / "none"), 3) == []


def test_tail(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"".join(b"line %d\n" % n for n in range(10_000)) + b"\xff\n")
    assert log.tail(str(path), 2) == ["line 9999", "\ufffd"]
