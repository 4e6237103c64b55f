import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.limit import Limits
from sampan.net.wire import icmpv4, udp
from sampan.net.wire.ipv4 import Ipv4, Protocol


def datagram(machine, payload, **fields):
    data = udp.Udp(machine.guest.port, machine.remote.port, payload)
    machine.packet(Protocol.UDP, data.emit(machine.guest.address, machine.remote.address), **fields)


def taken(machine):
    out = []
    for each in machine.events():
        assert isinstance(each, event.DatagramsReceived)
        out += [bytes(payload) for payload in each.flow.datagrams()]
    return out


@pytest.mark.parametrize("six", [False, True])
def test_flow_begins_with_its_first_datagram(make_machine, make_machine6, six):
    machine = (make_machine6 if six else make_machine)()
    datagram(machine, b"one")
    assert taken(machine) == [b"one"]
    for payload in (b"two", b""):
        datagram(machine, payload)
        assert taken(machine) == [payload]
    assert len(machine.stack.udp_flows) == 1


def test_ordinary_datagrams_take_the_fast_path(machine, monkeypatch):
    datagram(machine, b"first")
    machine.events()
    monkeypatch.setattr(type(machine.stack._udp), "received", None)
    datagram(machine, b"x" * 1000)
    assert taken(machine) == [b"x" * 1000]
    assert machine.stack.udp_flows[0].received == 1005


def test_wrong_checksum(machine):
    datagram(machine, b"first")
    machine.events()
    data = udp.Udp(machine.guest.port, machine.remote.port, b"text")
    payload = bytearray(data.emit(machine.guest.address, machine.remote.address))
    payload[-1] ^= 1
    machine.packet(Protocol.UDP, bytes(payload))
    assert machine.events() == []
    payload[6:8] = b"\0\0"  # none at all is fine
    machine.packet(Protocol.UDP, bytes(payload))
    assert len(taken(machine)) == 1


def test_datagrams_that_nobody_took_are_lost(machine):
    datagram(machine, b"one")
    datagram(machine, b"two")
    assert taken(machine) == [b"two"]


def test_datagrams_of_a_batch_are_bounded(make_machine):
    machine = make_machine(limits=Limits(datagrams=3))
    data = udp.Udp(machine.guest.port, machine.remote.port, b"x")
    frame = machine.frame(Protocol.UDP, data.emit(machine.guest.address, machine.remote.address))
    machine.frames(*[frame] * 10)
    assert len(taken(machine)) == 3


@pytest.mark.parametrize("head", [0, 10])
@pytest.mark.parametrize("size", [0, 1, 5, 1400, 4000])
def test_reply(make_machine, head, size):
    machine = make_machine(head=head)
    datagram(machine, b"question")
    payload = bytes(number & 255 for number in range(size))
    machine.stack.udp_flows[0].reply(payload, machine.now)
    frames = machine.sent()
    if size > 1472:
        assert len(frames) == 3
        assert Ipv4.parse(frames[0].payload).more_fragments
        return
    [frame] = frames
    layer = Ether(frame.emit())
    assert (layer[UDP].sport, layer[UDP].dport) == (80, 40000)
    assert frame.payload[28:] == payload
    if not head:
        data = frame.emit()
        del layer[UDP].chksum
        del layer[IP].chksum
        assert bytes(layer)[: len(data)] == data


def test_reply_over_ipv6(make_machine6):
    machine = make_machine6()
    datagram(machine, b"question")
    machine.stack.udp_flows[0].reply(b"answer", machine.now)
    [packet] = machine.packets()
    parsed = udp.Udp.parse(packet.payload, packet.source, packet.destination)
    assert parsed == udp.Udp(80, 40000, b"answer")


def test_refused(machine):
    datagram(machine, b"question")
    machine.stack.udp_flows[0].refuse(event.Refusal.REFUSED, machine.now)
    [packet] = machine.packets()
    message = icmpv4.parse(packet.payload)
    assert message.code == icmpv4.Unreachable.PORT
    assert Ipv4.parse(message.quote).payload[:4] == (40000 << 16 | 80).to_bytes(4, "big")


def test_idle_flows_end(make_machine):
    machine = make_machine(limits=Limits(udp_idle_s=10, udp_answered_idle_s=30))
    datagram(machine, b"one")
    flow = machine.stack.udp_flows[0]
    machine.events()
    machine.wait(8)
    datagram(machine, b"two")
    machine.events()
    machine.wait(8)
    assert machine.stack.udp_flows == (flow,)
    flow.reply(b"answer", machine.now)
    machine.wait(29)
    assert machine.stack.udp_flows == (flow,)
    machine.wait(2)
    assert machine.events() == [event.UdpFlowClosed(flow)]
    assert machine.stack.udp_flows == ()
    assert machine.port.udp_flows == 0


def test_spray_is_bounded(make_machine):
    machine = make_machine(limits=Limits(udp_flows=10))
    for number in range(100):
        machine.remote = Endpoint(machine.remote.address, 1 + number)
        datagram(machine, b"x")
    assert len(machine.stack.udp_flows) == 10


def test_closed_by_the_runtime(machine):
    datagram(machine, b"x")
    [flow] = machine.stack.udp_flows
    flow.close()
    flow.close()
    assert machine.stack.udp_flows == ()
    assert machine.port.udp_flows == 0
    machine.wait(100)
    assert all(isinstance(each, event.DatagramsReceived) for each in machine.events())


def test_flows_that_the_runtime_closes_are_not_kept(machine):
    for number in range(2000):
        machine.guest = Endpoint(machine.guest.address, 1000 + number)
        datagram(machine, b"x")
        machine.events()[0].flow.close()
    assert len(machine.stack._udp._timers) <= 300
    machine.wait(100)
    assert machine.events() == []
