"""A real network, controlled as `sampan net serve` has it, and one machine made of frames."""

import socket
from types import SimpleNamespace

import pytest

from sampan.cli.net import place
from sampan.net.runtime.attach.memory import MemoryLink
from sampan.net.runtime.control.assembled import serving
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.setting import Settings
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.udp import Udp

MAC = bytes.fromhex("020000000001")
MACHINE, HOST = bytes([192, 168, 65, 3]), bytes([192, 168, 65, 254])


@pytest.fixture
def runtime(monkeypatch, tmp_path_factory):
    """A runtime folder of its own, with a short name."""
    folder = tmp_path_factory.mktemp("n")
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(folder))
    monkeypatch.delenv("SAMPAN_NET", raising=False)
    return folder


@pytest.fixture
def start(runtime):
    """Start a network by name; all end with the test."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(name="default", **settings):
            stopped = []
            network = stack.enter_context(UserNetwork(Settings(hosts_files=(), **settings)))
            controlled = stack.enter_context(
                serving(network, place.socket(name), name=name, stop=lambda: stopped.append(name))
            )
            return SimpleNamespace(network=network, controlled=controlled, stopped=stopped)

        yield start


@pytest.fixture
def network(start):
    return start()


@pytest.fixture
def machine(network):
    """A machine that sends datagrams to the host: `machine(payload)` returns the host's port."""
    link = MemoryLink(lambda frames: None)
    network.network.plug(link, name="web")
    sockets = []

    def send(payload=b"hello"):
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sockets.append(server)
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        port = server.getsockname()[1]
        datagram = Udp(4000, port, payload).emit(MACHINE, HOST)
        packet = Ipv4(MACHINE, HOST, Protocol.UDP, datagram).emit()
        ours = network.network.call(lambda each: each.engine.stack.network.mac)
        link.give(Frame(ours, MAC, EtherType.IPV4, packet).emit())
        assert server.recv(65536) == payload
        return port

    yield send
    for each in sockets:
        each.close()
