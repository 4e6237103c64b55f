"""The forwarder between the host's forwards and servers, all in threads of this process."""

import hashlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from sampan.base.loop import Loop
from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import forwarder
from sampan.net.link.multiplex import Destination, Protocol
from sampan.net.runtime.forward.line import Held
from sampan.net.runtime.forward.multiplexed import MultiplexedForwards
from sampan.net.services.forward import Forward
from sampan.net.services.forward import Protocol as Udp

MB = 1 << 20
SIZES = (1, 30_000, 40_000, 65_507, 65_507, 65_507)  # more than a window, and unevenly


@pytest.fixture
def loop():
    made = Loop()
    thread = threading.Thread(target=made.run)
    thread.start()
    yield made
    made.stop()
    thread.join()
    made.close()


@pytest.fixture
def address(tmp_path):
    """Where a forwarder listens that runs."""
    path = str(tmp_path / "data")
    relay = forwarder.Relay()
    relay.serve(forwarder._listen("0", path))
    thread = threading.Thread(target=relay.run)
    thread.start()
    yield path
    relay.is_stopping = True
    connect(path).close()
    thread.join(60)
    relay.close()


def connect(path):
    made = socket.socket(socket.AF_UNIX)
    made.connect(path)
    return made


@pytest.fixture
def lost():
    return threading.Event()


@pytest.fixture
def expose(loop, address, lost):
    """Forwards of a host that is connected to it."""
    with connect(address) as stream:
        made = loop.submit(
            lambda: MultiplexedForwards(loop, Held(loop, stream), over=lambda error: lost.set())
        ).result()
        yield lambda *given: loop.submit(lambda: made.expose(*given)).result()
        loop.submit(made.close).result()


@pytest.fixture
def both(expose, echo):
    tcp, unix = echo
    to = Destination(Protocol.UNIX, path=unix.getsockname().encode())
    return expose(Forward(guest_port=tcp.getsockname()[1])), expose(Forward(guest_port=0), to)


def talk(forward, data):
    """Say it all and the end, and hear what comes until the end."""
    with socket.create_connection((forward.bind, forward.port), timeout=60) as connection:

        def say():
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=say)
        sender.start()
        heard = bytearray()
        while part := connection.recv(1 << 16):
            heard += part
        sender.join()
    return bytes(heard)


def test_much_data_both_ways_and_half_close(both):
    data = hashlib.shake_256(b"data").digest(4 * MB)
    for forward in both:
        assert talk(forward, data) == data


def test_the_end_without_a_word(both):
    for forward in both:
        assert talk(forward, b"") == b""


def test_many_connections_at_once(both):
    with ThreadPoolExecutor(16) as crew:
        said = [bytes([number % 256]) * (number * 37) for number in range(200)]
        heard = crew.map(lambda each: talk(both[len(each) % 2], each), said)
        assert list(heard) == said


def test_nobody_listens(expose, both):
    missing = Destination(Protocol.UNIX, path=b"/no/such/socket")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))  # a port that nobody else gets
        refusing = expose(Forward(guest_port=deaf.getsockname()[1]))
        for forward in (refusing, expose(Forward(guest_port=0), missing)):
            with (
                pytest.raises(ConnectionResetError),
                socket.create_connection((forward.bind, forward.port), timeout=60) as client,
            ):
                client.recv(1)
    assert talk(both[0], b"the session goes on") == b"the session goes on"


def test_a_client_that_reads_nothing_holds_up_nobody(both):
    with socket.create_connection((both[0].bind, both[0].port)) as stuck:
        stuck.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                stuck.send(bytes(MB))
        assert talk(both[1], b"quick") == b"quick"


def test_a_server_that_breaks_resets(expose):
    with socket.create_server(("127.0.0.1", 0)) as server:
        forward = expose(Forward(guest_port=server.getsockname()[1]))
        with socket.create_connection((forward.bind, forward.port), timeout=60) as client:
            connection, _ = server.accept()
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, forwarder._RESET)
            connection.close()
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_a_client_that_breaks_resets_the_server(expose):
    with socket.create_server(("127.0.0.1", 0)) as server:
        forward = expose(Forward(guest_port=server.getsockname()[1]))
        client = socket.create_connection((forward.bind, forward.port), timeout=60)
        connection, _ = server.accept()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, forwarder._RESET)
        client.close()
        connection.settimeout(60)
        with connection, pytest.raises(ConnectionResetError):
            connection.recv(1)


def test_datagrams(expose):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        forward = expose(Forward(guest_port=server.getsockname()[1], protocol=Udp.UDP))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.connect((forward.bind, forward.port))
            for payload in (b"", b"hello", *(bytes([size % 256]) * size for size in SIZES)):
                client.send(payload)
                heard, peer = server.recvfrom(1 << 16)
                assert heard == payload
                server.sendto(payload[::-1], peer)
                assert client.recv(1 << 16) == payload[::-1]


def test_datagrams_that_nobody_wants(expose, both):
    """The channel is closed; what comes later has another, and others go on."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        for each in (deaf, server):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        deaf.bind(("127.0.0.1", 0))
        deaf.connect(("127.0.0.1", 9))  # and so nobody else is heard: the system refuses them
        forward = expose(Forward(guest_port=deaf.getsockname()[1], protocol=Udp.UDP))
        client.connect((forward.bind, forward.port))
        client.send(b"nobody")
        assert talk(both[0], b"others go on") == b"others go on"
        server.bind(deaf.getsockname())
        server.settimeout(0.2)
        heard = b""
        for _ in range(300):
            client.send(b"somebody")
            with suppress(TimeoutError):
                heard = server.recv(100)
                break
        assert heard == b"somebody"


def test_a_host_that_talks_nonsense_is_cut_off(address, both, capfd):
    with connect(address) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        heard = b""
        with suppress(ConnectionResetError):
            while part := stranger.recv(4096):
                heard += part
    assert heard.startswith(b"https://github.com/moby/vpnkit")
    assert "does not speak" in capfd.readouterr().out
    assert talk(both[0], b"others go on") == b"others go on"


def test_servers_are_let_go_with_their_host(address, loop):
    with socket.create_server(("127.0.0.1", 0)) as server, connect(address) as stream:
        made = loop.submit(lambda: MultiplexedForwards(loop, Held(loop, stream))).result()
        port = server.getsockname()[1]
        forward = loop.submit(lambda: made.expose(Forward(guest_port=port))).result()
        with socket.create_connection((forward.bind, forward.port)):
            connection, _ = server.accept()
            loop.submit(made.close).result()
            connection.settimeout(60)
            with connection, suppress(ConnectionResetError):
                assert connection.recv(1) == b""


@pytest.mark.parametrize("words", [["x"], ["-vsockPort", "many"], ["-speed", "1"]])
def test_what_makes_no_sense(words):
    with pytest.raises(AgentError):
        forwarder.main(words)


def test_where_it_cannot_listen(tmp_path):
    with pytest.raises(AgentError, match="cannot listen on"):
        forwarder._listen("1", str(tmp_path / "no" / "socket"))


@pytest.mark.parametrize(
    ("error", "pauses"),
    [(BlockingIOError(), []), (ConnectionAbortedError(), []), (OSError(24, "Too many"), [0.1])],
)
def test_connections_that_cannot_be_taken(error, pauses, monkeypatch, capsys):
    """Without descriptors it pauses, or it would be told of the same client all the time."""
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)

    class Listener:
        def accept(self):
            raise error

    relay: Any = forwarder.Relay()
    relay._accept(Listener())
    relay.close()
    assert slept == pauses
    assert ("cannot take a connection" in capsys.readouterr().out) is bool(pauses)
