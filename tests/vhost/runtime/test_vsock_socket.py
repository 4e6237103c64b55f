"""The sockets of a folder: what clients say, and whom a guest finds there."""

import errno
import socket
from contextlib import suppress
from typing import Any

import pytest

from sampan.base.loop import Loop
from sampan.vhost.core.vsock_connection import Connection, State
from sampan.vhost.runtime import vsock_socket
from sampan.vhost.runtime.vsock_socket import HostSockets, dial

CID = 3


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def asked():
    """What was to be connected: port, the client's socket, whom to answer."""
    found = list[Any]()
    yield found
    for _, client, _ in found:
        client.close()


@pytest.fixture
def short(runtime_root, monkeypatch):
    """A folder with a path that fits a socket's."""
    monkeypatch.chdir(runtime_root)
    return runtime_root


@pytest.fixture
def sockets(loop, short, asked):
    made = HostSockets(loop, short, CID, (2374, 7), lambda *each: asked.append(each))
    yield made
    made.close()


@pytest.fixture
def client(short, loop):
    opened = []

    def connect(name):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(60)
        made.connect(name)
        opened.append(made)
        turn(loop)
        return made

    yield connect
    for each in opened:
        each.close()


def turn(loop):
    for _ in range(5):
        loop.run_once(0)


def is_open(connection):
    connection.settimeout(0)
    try:
        return connection.recv(1) != b""
    except BlockingIOError:
        return True


def test_names(sockets, short):
    names = {path.name for path in short.iterdir()}
    assert names == {
        "connect", "v.sock", "00000003.00000946", "guest.00000946", "00000003.00000007",
        "guest.00000007",
    }  # fmt: skip
    sockets.close()
    assert list(short.iterdir()) == []


def test_a_socket_for_one_port(sockets, client, asked, loop):
    one = client("guest.00000946")
    one.sendall(b"no greeting here")
    [(port, theirs, answer)] = asked
    assert port == 2374
    assert theirs.recv(100) == b"no greeting here"
    answer(Connection(1, 1 << 30, State.OPEN, 1))
    assert is_open(one)


@pytest.mark.parametrize("name", ["connect", "v.sock"])
@pytest.mark.parametrize(
    ("greeting", "answered"),
    [(b"00000003.00000400\n", b""), (b"CONNECT 1024\n", b"OK 1073741824\n")],
)
def test_both_dialects_at_both_sockets(sockets, client, asked, loop, name, greeting, answered):
    one = client(name)
    one.sendall(greeting[:5])
    turn(loop)
    assert asked == []
    one.sendall(greeting[5:] + b"what follows")
    turn(loop)
    [(port, theirs, answer)] = asked
    assert port == 1024
    assert theirs.recv(100) == b"what follows"
    answer(Connection(1, 1 << 30, State.OPEN, 1))
    theirs.sendall(b"data")
    assert one.recv(len(answered) + 4, socket.MSG_WAITALL) == answered + b"data"
    answer(None)


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\n", b"00000004.00000400\n", b"x" * 64])
def test_others_are_sent_away(sockets, client, asked, loop, said):
    one = client("connect")
    one.sendall(said)
    turn(loop)
    assert asked == []
    with suppress(ConnectionError):  # what it said was not read
        assert one.recv(1) == b""


def test_who_leaves_without_a_word(sockets, client, asked, loop):
    client("connect").close()
    turn(loop)
    assert (asked, sockets._greeting) == ([], {})


def test_those_who_say_nothing_are_bounded(sockets, client, loop, monkeypatch):
    monkeypatch.setattr(vsock_socket, "MAX_GREETING", 2)
    clients = [client("connect") for _ in range(3)]
    assert [is_open(each) for each in clients] == [False, True, True]
    sockets.close()
    assert not is_open(clients[2])


def test_nothing_is_left_when_a_socket_cannot_be_made(loop, short, asked):
    (short / "00000003.00000007").write_text("in the way")
    with pytest.raises(Exception, match="cannot make a socket"):
        HostSockets(loop, short, CID, (2374, 7), lambda *each: asked.append(each))
    assert [path.name for path in short.iterdir()] == ["00000003.00000007"]


class TestDial:
    @pytest.mark.parametrize("name", ["00000002.00000007", "v.sock_7"])
    def test_either_name_in_any_folder_however_long(self, short, name):
        long = short.joinpath(*["a-folder-with-a-long-name"] * 10)
        long.mkdir(parents=True)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(name)
            (short / name).rename(long / name)
            server.listen()
            made = dial((short / "missing", short, long), 7)
            assert made is not None
            made.close()
            assert dial((long,), 8) is None

    def test_nobody_is_there(self, short):
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("00000002.00000007")
            assert dial((short,), 7) is None

    def test_there_are_no_descriptors_left(self, short, monkeypatch):
        def fail(_):
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr(socket, "socket", fail)
        assert dial((short,), 7) is None
