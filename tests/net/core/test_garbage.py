"""A machine that sends rubbish costs only itself: 100,000 frames, none of which may be felt.

Frames are those of an ordinary machine, mutated and reordered, over several connections at
once, with a runtime that answers. Afterwards everything must come to its end by itself.
"""

import random
from typing import Any

import pytest

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.limit import Limits
from sampan.net.wire import icmpv4, udp
from sampan.net.wire.checksum import checksum
from sampan.net.wire.tcp import Flag, Options, Segment

FRAMES = 50_000
LIMITS = Limits(flows=100, half_open=40, udp_flows=50, kept_total=1 << 20, buffers_total=16, idle_s=500.0)  # fmt: skip


def sensible(machine, rng, numbers):
    """A frame that could be part of a connection: numbers near those that are right."""
    guest = Endpoint(machine.guest.address, rng.randrange(1, 60))
    remote = Endpoint(machine.remote.address, rng.choice((80, 81)))
    kind = rng.random()
    if kind < 0.1:
        data = udp.Udp(guest.port, remote.port, rng.randbytes(rng.randrange(50)))
        return machine.frame(17, data.emit(guest.address, remote.address))
    if kind < 0.12:
        return machine.frame(1, icmpv4.Echo(False, 1, 2, b"x" * rng.randrange(99)).emit())
    first, ours = numbers.setdefault((guest, remote), [rng.getrandbits(32), 0])
    ahead = rng.choice((0, 1, 1, 1, 2, 500, 70_000, rng.getrandbits(32)))
    flags = Flag(rng.choice((2, 16, 16, 16, 16, 24, 24, 17, 4, 20, rng.getrandbits(8))))
    payload = rng.randbytes(rng.choice((0, 0, 1, 100, 1400)))
    options = rng.choice((
        Options(), Options(mss=1460, window_shift=7, sack_permitted=True), Options(timestamp=(1, 2)),
        Options(sack=((ours, (ours + 1000) & 0xFFFFFFFF),)),
    ))  # fmt: skip
    acknowledgment = (ours + rng.choice((0, 0, 1, 1, 100, 3000))) & 0xFFFFFFFF
    segment = Segment(
        guest.port, remote.port, (first + ahead) & 0xFFFFFFFF, acknowledgment, flags,
        rng.choice((0, 1, 500, 65535)), options, payload,
    )  # fmt: skip
    if flags & Flag.SYN:
        numbers[guest, remote][0] = segment.sequence
    elif rng.random() < 0.5:
        numbers[guest, remote][0] = (segment.sequence + segment.length) & 0xFFFFFFFF
    return machine.frame(6, segment.emit(guest.address, remote.address))


def mutated(rng, frame):
    data = bytearray(frame)
    for _ in range(rng.randrange(1, 4)):
        data[rng.randrange(12, len(data))] = rng.getrandbits(8)
    if rng.random() < 0.2:
        del data[rng.randrange(len(data)) :]
    if len(data) > 34 and data[14] == 0x45:
        data[24:26] = b"\0\0"
        data[24:26] = checksum(bytes(data[14:34])).to_bytes(2, "big")
    return bytes(data)


def answer(machine, rng, numbers):
    stack, now = machine.stack, machine.now
    for each in stack.events():
        if isinstance(each, event.FlowOpened):
            flow = each.flow
            numbers.setdefault((flow.guest, flow.remote), [0, 0])[1] = (flow.sender.una + 1) & 0xFFFFFFFF  # fmt: skip
            flow.accept(now) if rng.random() < 0.9 else flow.refuse(event.Refusal.REFUSED, now)
        elif isinstance(each, event.DataReceived):
            size = each.flow.pending
            each.flow.consumed(rng.choice((0, size // 2, size, size, size)))
            while room := each.flow.room():
                if rng.random() < 0.3 or not stack.spare():
                    break
                each.flow.send(stack.spare(), rng.randrange(1, room + 1), now)
        elif isinstance(each, event.FlowFinished):
            each.flow.consumed(each.flow.pending)
            if rng.random() < 0.7:
                each.flow.finish(now)
        elif isinstance(each, event.DatagramsReceived):
            for payload in each.flow.datagrams():
                each.flow.reply(payload, now)


@pytest.mark.parametrize("head", [0, 10])
def test_rubbish(make_machine, head):
    machine = make_machine(limits=LIMITS, head=head, timestamps=bool(head))
    stack, rng = machine.stack, random.Random(head)
    numbers: dict[Any, Any] = {}
    established = 0
    prefix = b"\2".ljust(head, b"\0") if head else b""
    for _ in range(FRAMES // 10):
        batch = []
        for _ in range(10):
            frame = sensible(machine, rng, numbers)
            frame = mutated(rng, frame) if rng.random() < 0.4 else frame
            batch.append(memoryview(prefix + frame))
        machine.now += rng.choice((0.0, 0.001, 0.05))
        if stack.next_timer() <= machine.now:
            stack.timer_fired(machine.now)
        stack.frames_received(machine.port, batch, machine.now)
        answer(machine, rng, numbers)
        stack.frames_to_send()
        established += any(flow.state.name == "ESTABLISHED" for flow in stack.flows)
        assert stack.held <= LIMITS.kept_total + 20_000
        assert len(stack.flows) <= LIMITS.flows + LIMITS.time_wait_total
    assert established > FRAMES // 20  # it was not all refused at the door
    let_everything_end(machine, rng)


def let_everything_end(machine, rng):
    stack = machine.stack
    for _ in range(100_000):
        if not stack.flows and not stack.udp_flows:
            break
        machine.now = max(stack.next_timer(), machine.now)
        stack.timer_fired(machine.now)
        answer(machine, rng, {})
        stack.frames_to_send()
        for flow in stack.flows:
            flow.consumed(flow.pending)
    assert stack.flows == stack.udp_flows == ()
    assert (stack.held, stack.buffers_in_flight) == (0, 0)
    assert (machine.port.flows, machine.port.half_open, machine.port.udp_flows) == (0, 0, 0)
