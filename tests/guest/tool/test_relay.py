"""Connections that are led on: Unix sockets stand for those of vsock."""

import hashlib
import os
import socket
import threading

import pytest

from sampan.guest.tool.relay import Relay, Stream


@pytest.fixture
def front(tmp_path, monkeypatch):
    """Connects to a relay, as clients do."""
    monkeypatch.chdir(tmp_path)
    relay, listener = Relay(), socket.socket(socket.AF_UNIX)
    listener.bind("front")
    listener.listen(64)
    relay.serve(listener, socket.AF_UNIX, "back")
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
    """The Unix socket that it leads to."""
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
    assert "back: No such file or directory" in capsys.readouterr().out


def test_without_a_socket_to_lead_it_on_a_connection_ends_and_no_other(tmp_path, capsys):
    relay, listener = Relay(), socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "front"))
    listener.listen(64)
    relay.serve(listener, 999, "back")  # no family that there is
    thread = threading.Thread(target=relay.run)
    thread.start()
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(60)
            client.connect(str(tmp_path / "front"))
            assert client.recv(1) == b""
    relay.is_stopping = True
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "front"))
    thread.join(60)
    relay.close()
    assert "cannot lead a connection on: " in capsys.readouterr().out


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


@pytest.fixture
def reach():
    """A relay to an address; connects to it."""
    relay = Relay()
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=relay.run)

    def reach(address):
        relay.serve(listener, socket.AF_INET, address)
        thread.start()
        return socket.create_connection(listener.getsockname(), timeout=60)

    yield reach
    relay.is_stopping = True
    listener_address = listener.getsockname()
    socket.create_connection(listener_address).close()
    thread.join(60)
    relay.close()


def test_to_an_address(reach):
    """Clients may say something before there is a connection to say it through."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        with reach(server.getsockname()) as client:
            client.sendall(b"ask")
            connection, _ = server.accept()
            with connection:
                assert connection.recv(10) == b"ask"
                connection.sendall(b"answer")
                assert client.recv(10) == b"answer"


def test_nobody_at_an_address(reach):
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # a port that nobody else gets
        with reach(deaf.getsockname()) as client:
            assert client.recv(1) == b""
