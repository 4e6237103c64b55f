"""Children and their streams, driven as the server drives them."""

import os
import select
import signal

import pytest

from sampan.guest.remote import job


def talk(each):
    """All that a child says, by stream, and its status."""
    said = {job.OUT: b"", job.ERR: b""}
    while each.outputs:
        select.select(list(each.outputs), [each.stdin] if each.wants_to_write else [], [])
        each.write()
        for descriptor, stream in list(each.outputs.items()):
            said[stream] += each.read(descriptor, 1 << 20) or b""
    status = os.waitstatus_to_exitcode(os.waitpid(each.pid, 0)[1])
    each.status = status if status >= 0 else 128 - status
    each.close()
    return said[job.OUT], said[job.ERR], each.status


def program(*argv):
    return lambda: os.execv(argv[0], argv)


def test_streams_and_status():
    each = job.start(program("/bin/sh", "-c", "cat; echo bad >&2; exit 4"), has_input=True)
    each.received(b"text")
    each.ended()
    assert talk(each) == (b"text", b"bad\n", 4)


def test_without_input_there_is_none():
    each = job.start(program("/bin/cat"), has_input=False)
    each.received(b"dropped")
    assert not each.wants_to_write
    assert talk(each) == (b"", b"", 0)


def test_much_input_waits_for_the_child():
    each = job.start(program("/bin/cat"), has_input=True)
    data = os.urandom(1_000_000)
    each.received(data)
    assert each.write() < len(data)
    each.ended()
    assert each.stdin is not None
    assert talk(each)[0] == data


def test_a_child_that_does_not_read():
    each = job.start(program("/bin/true"), has_input=True)
    os.waitid(os.P_PID, each.pid, os.WEXITED | os.WNOWAIT)
    each.received(b"x" * 1000)
    assert each.write() == 1000
    assert each.stdin is None
    talk(each)


def test_what_a_function_gives_is_the_status():
    assert talk(job.start(lambda: 9, has_input=False))[2] == 9
    assert talk(job.start(lambda: 1 // 0, has_input=False))[2] == 1


def test_signals_are_as_usual_in_a_child():
    each = job.start(program("/bin/sh", "-c", "kill -PIPE $$"), has_input=False)
    assert talk(each)[2] == 128 + signal.SIGPIPE


def test_it_is_killed_with_what_it_started():
    each = job.start(program("/bin/sh", "-c", "sleep 600 & echo; wait"), has_input=False)
    select.select(list(each.outputs), [], [])
    each.kill(signal.SIGKILL)
    assert talk(each)[2] == 128 + signal.SIGKILL  # the sleep had the pipes too


def test_a_terminal():
    command = program("/bin/sh", "-c", "tty; stty size; read line; stty size; exit 3")
    each = job.start_on_terminal(command, "/dev/ptmx", (30, 99))
    [descriptor] = each.outputs
    shown = b""
    while b"30 99\r\n" not in shown:
        select.select([descriptor], [], [])
        shown += each.read(descriptor, 100) or b""
    each.resize(70_000, -1)
    each.received(b"\n")
    each.write()
    out, _, status = talk(each)
    assert b"/dev/pts/" in shown
    assert b"65535 0\r\n" in out
    assert status == 3


def test_a_terminal_ends_with_its_input():
    each = job.start_on_terminal(program("/bin/cat"), "/dev/ptmx", (24, 80))
    each.received(b"line\n")
    each.write()
    [descriptor] = each.outputs
    shown = b""
    while shown.count(b"line") < 2:
        select.select([descriptor], [], [])
        shown += each.read(descriptor, 100) or b""
    each.ended()
    assert talk(each)[2] == 0


def test_a_terminal_that_cannot_be_had():
    with pytest.raises(FileNotFoundError):
        job.start_on_terminal(lambda: 0, "/none", (24, 80))
    with pytest.raises(OSError, match="ioctl"):
        job.start_on_terminal(lambda: 0, "/dev/null", (24, 80))
