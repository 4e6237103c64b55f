"""What a slow program does not take is kept, in order, and nothing else."""

import socket

import pytest

from sampan.vhost.core.vsock_connection import Connection, State
from sampan.vhost.core.vsock_ring import Room
from sampan.vhost.runtime.vsock_end import GONE, HostEnd, views_of


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    theirs.settimeout(60)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def end(pair):
    return HostEnd(Connection(1, 2, State.OPEN, 1), pair[0], None)


def test_a_slow_program_gets_all_in_the_end(pair, end):
    _, theirs = pair
    data = bytes(number % 251 for number in range(3 << 20))
    pieces = [memoryview(data)[at : at + 100_000] for at in range(0, len(data), 100_000)]
    sent = end.write(pieces, len(data))
    assert 0 < sent < len(data)
    assert end.write([memoryview(b"last")], 4) == 0
    got = b""
    while len(got) < len(data) + 4:
        got += theirs.recv(1 << 20)
        sent += end.flush()
    assert got == data + b"last"
    assert sent == len(got)
    assert not end.backlog


def test_what_is_kept_is_a_copy(pair, end):
    data = bytearray(3 << 20)
    end.write([memoryview(data)], len(data))
    data[-1] = 1
    assert end.backlog[-1][-1] == 0
    kept = sum(map(len, end.backlog))
    assert (end.forget(), end.forget()) == (kept, 0)


def test_a_program_that_has_gone(pair, end):
    pair[1].close()
    with pytest.raises(OSError, match="Broken pipe"):
        end.write([memoryview(b"x")], 1)
    pair[0].close()
    end.shut(socket.SHUT_WR)
    assert end.seen & GONE


def test_an_answer_is_given_once(pair):
    told = list[object]()
    end = HostEnd(Connection(1, 2, State.OPEN, 1), pair[0], told.append)
    end.tell(end.connection)
    end.tell(None)
    assert told == [end.connection]


@pytest.mark.parametrize(("credit", "sizes"), [(100, [60, 40]), (90, [60, 30]), (60, [60])])
def test_where_data_may_be_read_to(credit, sizes):
    rooms = [
        Room(0, memoryview(b""), [memoryview(bytes(60))], 60),
        Room(1, memoryview(b""), [memoryview(bytes(40))], 40),
    ]
    views, capacity = views_of(rooms, credit)
    assert ([len(view) for view in views], capacity) == (sizes, credit)
    assert views_of(rooms, 1000)[1] == 100
