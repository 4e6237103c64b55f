"""A machine that asks a running network for ports; programs of this process play its part."""

import json
import socket
from typing import Any

import pytest

from sampan.errors import SampanError
from sampan.net.link.session import Session, Side
from sampan.net.runtime.control.asking import answering
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.services.forward import Forward
from sampan.net.services.portcontrol import Allowed
from sampan.net.setting import Settings

WEB = {"proto": "tcp", "in_ip": "10.0.0.2", "in_port": 80}


@pytest.fixture
def network():
    with UserNetwork(Settings(hosts_files=())) as made:
        yield made


def ask(path, method, what, port):
    """The status, and what is said."""
    body = json.dumps(port).encode()
    with socket.socket(socket.AF_UNIX) as stream:
        stream.settimeout(60)
        stream.connect(str(path))
        stream.sendall(
            f"{method} /forwards/{what}/port HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        answer = b""
        while part := stream.recv(65536):
            answer += part
    head, _, said = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), said


def test_there_and_back(network, tmp_path):
    """The port is one of the network's, and a client of it is told to the machine's forwarder."""
    path = tmp_path / "control"
    ours, theirs = socket.socketpair()
    theirs.settimeout(60)
    with theirs, answering(network, path, lambda: ours, Allowed.LOOPBACK):
        assert ask(path, "PUT", "expose", WEB) == (200, b"")
        (forward,) = network.forwards()
        assert (forward.bind, forward.guest, forward.guest_port) == ("127.0.0.1", "10.0.0.2", 80)
        machine = Session(Side.MACHINE)
        with socket.create_connection((forward.bind, forward.port)):
            theirs.sendall(machine.data_to_send())
            events: list[Any] = []
            while not events:
                events += machine.data_received(theirs.recv(65536))
            assert events[0].destination.port == 80
        removed = {**WEB, "out_port": forward.port}
        assert ask(path, "DELETE", "unexpose", removed) == (200, b"")
        assert network.forwards() == ()


def test_the_host_may_remove_it(network, tmp_path):
    with answering(network, tmp_path / "control", socket.socket, Allowed.LOOPBACK):
        ask(tmp_path / "control", "PUT", "expose", WEB)
        own = network.expose(Forward(guest_port=1))
        (asked,) = set(network.forwards()) - {own}
        assert network.unexpose(asked) == asked
        assert network.forwards() == (own,)


def test_refused(network, tmp_path):
    with answering(network, tmp_path / "control", socket.socket, Allowed.NONE):
        status, said = ask(tmp_path / "control", "PUT", "expose", WEB)
    assert status == 400
    assert b"may not ask" in said


def test_the_end(network, tmp_path):
    with answering(network, tmp_path / "control", socket.socket, Allowed.LOOPBACK):
        ask(tmp_path / "control", "PUT", "expose", WEB)
    assert network.forwards() == ()
    assert not (tmp_path / "control").exists()


def test_the_network_ends_first(network, tmp_path):
    with answering(network, tmp_path / "control", socket.socket, Allowed.LOOPBACK):
        ask(tmp_path / "control", "PUT", "expose", WEB)
        (forward,) = network.forwards()
        network.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((forward.bind, forward.port))
    assert not (tmp_path / "control").exists()


def test_a_path_that_is_taken(network, tmp_path):
    path = tmp_path / "control"
    with (
        answering(network, path, socket.socket, Allowed.ALL),
        pytest.raises(SampanError, match="listens at"),
        answering(network, path, socket.socket, Allowed.ALL),
    ):
        raise AssertionError
