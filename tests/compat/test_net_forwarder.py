"""VPNKit's own vpnkit-forwarder at the other end of a stream, where it is installed.

It comes with VPNKit's sources and is built by `go build ./go/cmd/vpnkit-forwarder`. It speaks
over a Unix socket here, and connects to this host instead of a machine.
"""

import hashlib
import shutil
import socket
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sampan.base.loop import Loop
from sampan.net.link import multiplex
from sampan.net.link.datagram import MAX_PAYLOAD
from sampan.net.link.multiplex import Destination
from sampan.net.runtime.forward.line import Held
from sampan.net.runtime.forward.multiplexed import MultiplexedForwards
from sampan.net.services.forward import Forward, Protocol

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(shutil.which("vpnkit-forwarder") is None, reason="needs vpnkit-forwarder"),
]
MB = 1 << 20


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
def stream(tmp_path):
    """A stream to a forwarder that runs."""
    path = str(tmp_path / "data")
    argv = ["vpnkit-forwarder", "-data-listen", path]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as child:
        for line in child.stderr:
            if b"listening on" in line:
                break
        threading.Thread(target=child.stderr.read, daemon=True).start()
        with socket.socket(socket.AF_UNIX) as made:
            made.connect(path)
            yield made
        child.terminate()


@pytest.fixture
def forwards(loop, stream):
    made = loop.submit(lambda: MultiplexedForwards(loop, Held(loop, stream))).result()
    yield made
    loop.submit(made.close).result()


@pytest.fixture
def expose(loop, forwards):
    return lambda *given: loop.submit(lambda: forwards.expose(*given)).result()


@pytest.fixture
def both(expose, echo):
    """A forward to each of the servers."""
    tcp, unix = echo
    to = Destination(multiplex.Protocol.UNIX, path=unix.getsockname().encode())
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
    data = hashlib.shake_256(b"data").digest(8 * MB)
    for forward in both:
        assert talk(forward, data) == data


def test_many_connections_at_once(loop, forwards, both):
    with ThreadPoolExecutor(16) as crew:
        said = [bytes([number % 256]) * (number * 37) for number in range(300)]
        heard = crew.map(lambda each: talk(both[len(each) % 2], each), said)
        assert list(heard) == said
    assert loop.submit(lambda: forwards.connections).result() == 0


def test_nobody_listens(expose, both):
    with socket.socket() as bound:  # and nobody else can, as long as it has the port
        bound.bind(("127.0.0.1", 0))
        forward = expose(Forward(guest_port=bound.getsockname()[1]))
        with (
            pytest.raises(ConnectionResetError),  # which may come before connect has returned
            socket.create_connection((forward.bind, forward.port), timeout=60) as connection,
        ):
            connection.recv(1)
    assert talk(both[0], b"the session goes on") == b"the session goes on"


def test_datagrams(expose):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        forward = expose(Forward(guest_port=server.getsockname()[1], protocol=Protocol.UDP))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(60)
            client.connect((forward.bind, forward.port))
            for payload in (b"hello", bytes(20_000), bytes(MAX_PAYLOAD)):
                client.send(payload)
                heard, peer = server.recvfrom(1 << 16)
                assert heard == payload
                server.sendto(payload[::-1], peer)
                assert client.recv(1 << 16) == payload[::-1]
