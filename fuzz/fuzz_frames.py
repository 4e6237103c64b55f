"""Fuzz target: whole sequences of frames into the stack. Nothing may be raised, leak or get stuck.

The input is a record: frames, each behind a byte that says how much time passes before it and
two that say how long it is. The runtime that answers is a simple one: it accepts every
connection, takes half of what comes, and sends something back.
"""

from sampan.net.core import event
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.core.stack import Stack
from sampan.net.wire.checksum import checksum

LIMITS = Limits(
    flows=64, half_open=32, udp_flows=64, kept_total=1 << 20, buffers_total=8, idle_s=500.0
)
HEADS = (0, 10)
MAX_FRAMES = 500
A_LONG_TIME_S = 100_000.0


def one(data: bytes) -> None:
    """Play `data` to a stack; then let so much time pass that everything must have ended."""
    stack = Stack(Network(timestamps=len(data) % 2 == 1), bytes, LIMITS)
    port = stack.add_port(0.0, head=HEADS[len(data) // 2 % 2])
    other = stack.add_port(0.0)
    now = 0.0
    for pause, frame in _frames(data):
        now += pause / 64
        if stack.next_timer() <= now:
            stack.timer_fired(now)
        stack.frames_received(port, [memoryview(_head(port) + _mended(frame))], now)
        _act(stack, now)
        if any(where not in (port, other) for where, _ in stack.frames_to_send()):
            raise AssertionError("a frame for a port that is not there")
        if stack.held > LIMITS.kept_total + 65536 or len(stack.flows) > LIMITS.flows:
            raise AssertionError("a bound that does not hold")
    _end(stack, now)


def _head(port: Port) -> bytes:
    """An offload header that says that checksums are right, or none."""
    return b"\2".ljust(port.head, b"\0") if port.head else b""


def _mended(frame: bytes) -> bytes:
    """The frame with the checksum of an IPv4 header made right, that mutations get further."""
    if len(frame) < 34 or frame[12:15] != b"\x08\x00\x45":
        return frame
    header = frame[14:24] + b"\0\0" + frame[26:34]
    return frame[:24] + checksum(header).to_bytes(2, "big") + frame[26:]


def _frames(data: bytes) -> list[tuple[int, bytes]]:
    frames: list[tuple[int, bytes]] = []
    while len(data) > 3 and len(frames) < MAX_FRAMES:
        length = int.from_bytes(data[1:3], "big")
        frames.append((data[0], data[3 : 3 + length]))
        data = data[3 + length :]
    return frames


def _act(stack: Stack, now: float) -> None:
    for each in stack.events():
        if isinstance(each, event.FlowOpened):
            if each.flow.remote.port % 7 == 0:
                each.flow.refuse(list(event.Refusal)[each.flow.guest.port % 5], now)
            else:
                each.flow.accept(now)
        elif isinstance(each, event.DataReceived):
            each.flow.consumed(sum(map(len, each.flow.data())) // 2)
            if each.flow.room():
                buffer = stack.spare()
                if buffer is not None:
                    each.flow.send(buffer, min(each.flow.room(), 3000), now)
        elif isinstance(each, event.FlowFinished):
            each.flow.consumed(each.flow.pending)
            if each.flow.remote.port % 2:
                each.flow.finish(now)
        elif isinstance(each, event.DatagramsReceived):
            for payload in each.flow.datagrams():
                each.flow.reply(payload, now)


def _end(stack: Stack, now: float) -> None:
    """Nobody says anything any more: every flow must come to its end by itself."""
    until = now + A_LONG_TIME_S
    while (flows := stack.flows + stack.udp_flows) and stack.next_timer() <= until:
        now = max(stack.next_timer(), now)
        stack.timer_fired(now)
        _act(stack, now)
        stack.frames_to_send()
    if flows or stack.buffers_in_flight:
        raise AssertionError(f"stuck: {flows}, {stack.buffers_in_flight} buffers")
