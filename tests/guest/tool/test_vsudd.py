"""vsudd on the host: Unix sockets stand for those of vsock."""

import hashlib
import os
import socket
import threading
from typing import Any

import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import vsudd
from sampan.guest.tool.vsudd import Relay, Stream


@pytest.fixture
def front(tmp_path, monkeypatch):
    """Connects to vsudd, as the host does."""
    monkeypatch.chdir(tmp_path)
    relay, listener = Relay(), socket.socket(socket.AF_UNIX)
    listener.bind("front")
    listener.listen(64)
    relay.serve(listener, "back")
    thread = threading.Thread(target=relay.run)
    thread.start()
    opened = []

    def connect():
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(60)
        made.connect("front")
        opened.append(made)
        return made

    yield connect
    relay.is_stopping = True
    connect().close()
    thread.join(60)
    relay.close()
    for each in opened:
        each.close()


@pytest.fixture
def back(tmp_path):
    """The Unix socket that vsudd leads to."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "back"))
        listener.listen(64)
        listener.settimeout(60)
        yield listener


@pytest.fixture
def pair(front, back):
    """Both ends of one connection."""
    one = front()
    other, _ = back.accept()
    other.settimeout(60)
    with one, other:
        yield one, other


def flood(connection):
    for _ in range(1000):
        connection.sendall(bytes(1000))


@pytest.mark.parametrize("way", [1, -1])
def test_each_direction_ends_by_itself(pair, way):
    one, other = pair[::way]
    one.sendall(b"all I say")
    one.shutdown(socket.SHUT_WR)
    assert (other.recv(100), other.recv(100)) == (b"all I say", b"")
    other.sendall(b"an answer")
    assert one.recv(100) == b"an answer"
    other.close()
    assert one.recv(100) == b""


@pytest.mark.parametrize("way", [1, -1])
def test_who_closes_ends_both(pair, way):
    one, other = pair[::way]
    one.close()
    assert other.recv(1) == b""
    with pytest.raises(BrokenPipeError):
        flood(other)


@pytest.mark.parametrize("way", [1, -1])
def test_a_slow_reader_gets_all(pair, way):
    one, other = pair[::way]
    data = os.urandom(1 << 20) * 8

    def send():
        one.sendall(data)
        one.close()

    thread = threading.Thread(target=send)
    thread.start()
    got = b""
    while part := other.recv(50_000):
        got += part
    thread.join()
    assert hashlib.md5(got).digest() == hashlib.md5(data).digest()


def test_a_reader_that_stops_is_told_on(pair):
    one, other = pair
    other.shutdown(socket.SHUT_RD)
    with pytest.raises(BrokenPipeError):
        flood(one)
    other.sendall(b"still there")
    assert one.recv(100) == b"still there"


def test_many_at_once(front, back):
    pairs = []
    for number in range(30):
        one = front()
        other, _ = back.accept()
        one.sendall(b"%d" % number)
        pairs.append((one, other))
    for number, (_, other) in enumerate(pairs):
        assert other.recv(10) == b"%d" % number
        other.close()


def test_nobody_is_behind_it(front, capsys):
    assert front().recv(1) == b""
    assert "vsudd: back: No such file or directory" in capsys.readouterr().out


def test_what_was_broken_off_has_ended():
    one, other = socket.socketpair()
    target, reader = socket.socketpair()
    with one, target, reader:
        one.sendall(b"unread")
        other.close()
        stream = Stream(one, target)
        stream.read()
        assert stream.is_over
        assert reader.recv(1) == b""


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("2374:unix:/run/c.sock", 2374),
        ("0x946:unix:/run/c.sock", 2374),
        ("00000946-facb-11e6-bd58-64006a7986d3:unix:/run/c.sock", 2374),
    ],
)
def test_ports(text, port):
    assert vsudd.parse_inport(text) == (port, "/run/c.sock")


@pytest.mark.parametrize("text", ["2374:tcp:/x", "x:unix:/x", "1:unix:x", "1"])
def test_what_is_no_port(text):
    with pytest.raises(AgentError, match="PORT:unix:/PATH"):
        vsudd.parse_inport(text)


class TestMain:
    @pytest.fixture
    def relays(self, monkeypatch):
        """What would have been served."""
        found = list[Any]()

        class Recorder(Relay):
            def serve(self, listener, path):
                found.append((listener, path))

            def run(self):
                found.append("ran")

        monkeypatch.setattr(vsudd, "Relay", Recorder)
        monkeypatch.setattr(vsudd, "_listen", lambda port: port)
        return found

    def test_all_options(self, relays, tmp_path):
        words = ["-inport", "7:unix:/a", "--inport=8:unix:/b", "-syslog", "-pidfile"]
        assert vsudd.main([*words, str(tmp_path / "pid")]) == 0
        assert relays == [(7, "/a"), (8, "/b"), "ran"]
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"

    def test_in_the_background(self, relays, monkeypatch):
        monkeypatch.setattr(os, "fork", lambda: 5)
        assert vsudd.main(["-inport", "7:unix:/a", "-detach"]) == 0
        assert "ran" not in relays

    @pytest.mark.parametrize(
        "words", [[], ["-inport"], ["-inport", "7:unix:/a", "more"], ["-outport", "7"]]
    )
    def test_what_makes_no_sense(self, relays, words):
        with pytest.raises(AgentError):
            vsudd.main(words)
        assert "ran" not in relays


class TestListening:
    class Socket:
        def __init__(self, family, kind):
            assert family == socket.AF_VSOCK

        def bind(self, address):
            if address[1] == 1:
                raise OSError(98, "Address already in use")
            self.address = address

        def listen(self, backlog):
            self.backlog = backlog

        def close(self):
            self.address = None

    def test_it_listens(self, monkeypatch):
        monkeypatch.setattr(socket, "socket", self.Socket)
        listening: Any = vsudd._listen(7)
        assert listening.address == (0xFFFFFFFF, 7)

    def test_a_port_that_is_taken(self, monkeypatch):
        monkeypatch.setattr(socket, "socket", self.Socket)
        with pytest.raises(AgentError, match="port 1: Address already in use"):
            vsudd._listen(1)

    def test_a_machine_without_vsock(self, monkeypatch):
        monkeypatch.setattr(socket, "AF_VSOCK", 255)
        monkeypatch.setattr(socket, "AF_VSOCK", 255)
        monkeypatch.setattr(
            self.Socket, "__init__", lambda *_: (_ for _ in ()).throw(OSError(97, "no"))
        )
        with pytest.raises(AgentError, match="this machine has no vsock"):
            vsudd._listen(7)
