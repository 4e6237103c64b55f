import json
import socket
from contextlib import suppress
from typing import Any

import pytest

from sampan.errors import UsageError
from sampan.net.core.endpoint import Endpoint
from sampan.net.link.stream import VMNET, Decoder
from sampan.net.runtime.control import model, tunnel
from sampan.net.runtime.control.fault import NotFoundError
from sampan.net.runtime.forward.listener import Sources
from sampan.net.wire import arp
from sampan.net.wire.ethernet import EtherType, Frame

GUEST = "192.168.65.3"


class Assembly:
    """As much of one as this needs, around `net`."""

    def __init__(self, net):
        self.engine = net.engine
        self.outbound = net.outbound
        self.directory = self
        self._sources = Sources(net.engine)

    def find(self, name):
        return {GUEST: bytes([192, 168, 65, 3]), "web": bytes([192, 168, 65, 3])}.get(name)

    def open(self, guest):
        assert isinstance(guest, Endpoint)
        return self._sources.open(guest)

    def plug(self, link, *, name):
        return self.engine.plug(link, name=name)


@pytest.fixture
def assembly(net) -> Any:
    return Assembly(net)


@pytest.fixture
def client():
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def hear(net, client):
    """What the client hears until a condition holds, or the end."""

    def heard(until=lambda data: False):
        data, ended = bytearray(), []

        def more():
            try:
                piece = client[0].recv(1 << 16)
            except BlockingIOError:
                return False
            except ConnectionResetError:
                piece = b""
            data.extend(piece)
            if not piece:
                ended.append(True)
            return bool(ended) or until(data)

        net.until(more)
        return bytes(data)

    return heard


@pytest.fixture
def dig(assembly, client):
    def go(ip=GUEST, port=80, rest=b""):
        asked = model.TunnelAsked(ip=ip, port=port)
        tunnel.to_machine(assembly, asked).take(client[1], rest)

    return go


def error_of(answer):
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]["message"]


@pytest.mark.parametrize("name", [GUEST, "web"])
def test_to_a_machine(net, client, hear, dig, name):
    net.machine.listening.add(80)
    dig(name)
    assert hear(lambda data: len(data) == 2) == b"OK"
    [connection] = net.machine.accepted
    client[0].send(b"question")
    net.until(lambda: connection.data == b"question")
    connection.send(b"answer").finish()
    assert hear() == b"answer"
    client[0].close()
    net.until(lambda: connection.is_ended)
    assert net.engine.stack.flows == ()


def test_a_machine_that_refuses(hear, dig):
    dig(port=81)
    status, message = error_of(hear())
    assert status == 502
    assert message == "192.168.65.3:81 refuses the connection"


def test_a_machine_that_is_silent(net, hear, dig):
    for plug in list(net.engine.plugs.values()):
        plug.link.frame = lambda frame: None
    dig()
    for _ in range(100):
        net.advance(10)
    assert error_of(hear())[1] == "192.168.65.3:80 does not answer"


def test_nobody(assembly):
    for name in ("192.168.65.9", "nobody", ""):
        with pytest.raises(NotFoundError, match="there is no machine"):
            tunnel.to_machine(assembly, model.TunnelAsked(ip=name, port=80))
    for port in (0, -1, 65536):
        with pytest.raises(UsageError, match="is no port"):
            tunnel.to_machine(assembly, model.TunnelAsked(ip=GUEST, port=port))


def test_no_connection_to_be_had(assembly, hear, dig):
    assembly.open = lambda guest: None
    dig()
    assert error_of(hear())[1] == "192.168.65.3:80 cannot be connected to"


def test_who_speaks_too_early(hear, dig):
    dig(rest=b"x")
    status, message = error_of(hear())
    assert status == 400
    assert "wait for OK" in message


def test_who_leaves_too_early(net, client, dig):
    net.machine.listening.add(80)
    dig()
    client[0].close()
    net.until(lambda: net.machine.accepted and net.machine.accepted[0].is_ended)
    net.machine.accepted[0].finish()
    net.until(lambda: net.engine.stack.flows == ())


def test_as_a_link(net, assembly, client):
    who = bytes([2, 0, 0, 0, 0, 99])
    asking = arp.Arp(
        arp.Operation.REQUEST, who, bytes([192, 168, 65, 99]), bytes(6), bytes([192, 168, 65, 1])
    )
    frame = Frame(b"\xff" * 6, who, EtherType.ARP, asking.emit()).emit()
    framed = len(frame).to_bytes(2, "little") + frame
    tunnel.as_link(assembly).take(client[1], framed[:7])
    [plug] = [each for each in net.engine.plugs.values() if each.name == tunnel.LINK_NAME]
    client[0].send(framed[7:])
    decoder = Decoder(VMNET)
    frames: list[Frame] = []

    def answered():
        with suppress(BlockingIOError):
            frames.extend(map(Frame.parse, decoder.received(client[0].recv(4096))))
        return any(each.ethertype == EtherType.ARP for each in frames)

    net.until(answered)
    assert {each.destination for each in frames if each.ethertype == EtherType.ARP} == {who}
    client[0].close()
    net.until(lambda: plug not in net.engine.plugs.values())
