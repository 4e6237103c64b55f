"""Ports that are opened while a machine runs, and again when it goes on; no machine is needed."""

import json
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from sampan.desktop.network import Networking, Options, connection
from sampan.desktop.opened import Fixed, Opened
from sampan.errors import SampanError
from sampan.machine import MachineSpec
from sampan.machine.device import Vsock
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.services import forward
from sampan.net.services.portcontrol import Allowed, Port
from sampan.net.setting import Settings

SPEC = MachineSpec(kernel=Path("k"), name="web", vsock=Vsock())
MAY = Options(guest_forwards=Allowed.LOOPBACK)


def guest(folder: Path) -> Any:
    """A machine, as far as its vsock goes; nobody in it listens."""

    def connect_blocking(port):
        raise SampanError(f"nobody listens at {port}")

    return SimpleNamespace(vsock=SimpleNamespace(folder=folder, connect_blocking=connect_blocking))


def ask(path, port=0):
    """A program of the guest asks for a port."""
    body = json.dumps({"proto": "tcp", "out_port": port, "in_port": 80}).encode()
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(60)
        stream.connect(str(path))
        stream.sendall(
            b"PUT /forwards/expose/port HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        assert stream.recv(100).startswith(b"HTTP/1.1 200")


@pytest.fixture
def network():
    with UserNetwork(Settings(hosts_files=(), forwards=forward.parse("0:7"))) as made:
        yield made


def test_a_guest_that_may_not_ask(network, tmp_path):
    with Opened(network, Options()).answering(guest(tmp_path)):
        assert list(tmp_path.iterdir()) == []


def test_a_guest_that_asks(network, tmp_path):
    """Where its vsock leads for port 0x1002 of the host, the network answers."""
    ports = Opened(network, MAY)
    with ports.answering(guest(tmp_path)):
        (path,) = tmp_path.iterdir()
        assert path.name == "00000002.00001002"
        ask(path)
        (asked,) = ports.now().asked
        assert asked == Port(proto="tcp", out_ip="127.0.0.1", out_port=asked.out_port, in_port=80)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wired", [Options(publish=("0:7",)), replace(MAY, publish=("0:7",))])
def test_it_goes_on(network, tmp_path, wired):
    """Another process has what was opened in the first one; what was published is not meant."""
    ports = Opened(network, wired)
    with ports.answering(guest(tmp_path)):
        assert ports.now() == wired
        added = network.expose(*forward.parse("0:web:8"))
        if wired.guest_forwards is Allowed.LOOPBACK:
            ask(tmp_path / "00000002.00001002")
        saved = ports.now()
        assert saved.added == (str(added),)
        there = set(network.forwards())
    network.close()
    with UserNetwork(Settings(hosts_files=())) as other:
        ports = Opened(other, saved)
        with ports.answering(guest(tmp_path)):
            assert set(other.forwards()) == {each for each in there if each.guest_port != 7}
            assert ports.now() == saved
            ports.reopen(saved)  # all of it is there
            assert ports.now() == saved


def test_what_cannot_be_opened_again_is_told_of(network, tmp_path, caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        saved = replace(
            MAY,
            added=(f"{number}:80",),
            asked=(Port(proto="tcp", out_port=number, out_ip="127.0.0.1", in_port=80),),
        )
        with Opened(network, saved).answering(guest(tmp_path)):
            assert len(network.forwards()) == 1
    assert len(caplog.messages) == 2
    assert all("had been opened while the machine ran" in each for each in caplog.messages)


def test_a_network_that_is_not_its_own(tmp_path):
    wired = Options(networking=Networking.NONE)
    with connection(SPEC, wired) as made:
        assert made.ports is None
    ports = Fixed(wired)
    with ports.answering(guest(tmp_path)):
        ports.reopen(replace(wired, added=("80:80",)))
        assert ports.now() is wired


def test_a_network_of_its_own():
    with connection(SPEC, MAY) as made:
        assert made.ports is not None
        assert made.ports.now() == MAY
