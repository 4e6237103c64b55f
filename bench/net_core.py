"""The network stack alone: what its core costs, without sockets, links or a kernel.

    .venv/bin/python bench/net_core.py [--rounds N] [--only PART] [--profile | --count] [--write]

A machine's frames are made beforehand and played to a `Stack`, which a small runtime answers as
a host would. What remains when a link and sockets are added is measured by bench/net.py. Each
figure is the best of the rounds: nothing but other programs can make it worse. `--write` puts
the tables into RESULTS.md. `--count` tells what a change saves where times are too uncertain: the
bytecodes of a round, which are the same on any computer, whatever else it does.
"""

from __future__ import annotations

import cProfile
import hashlib
import math
import platform
import pstats
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import TYPE_CHECKING

import results

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.flow import Flow
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.stack import Stack
from sampan.net.wire import udp
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.tcp import Flag, Options, Segment

if TYPE_CHECKING:
    from _typeshed import TraceFunction

MAC = bytes.fromhex("020000000001")
GUEST = bytes([192, 168, 65, 3])
REMOTE = Endpoint(bytes([93, 184, 216, 34]), 80)
SYN = Options(mss=1460, window_shift=7, sack_permitted=True, timestamp=(1, 0))
QUESTION, ANSWER = bytes(90), 100
NOISE = hashlib.shake_256(b"").digest(65536)  # a sum of zeros would cost nothing
SUPERFRAME = 43 * 1448
CONNECTIONS, PARALLEL = 2000, 16
FLOWS = (1, 100, 1000, 2000)
_ACK, _FIN = Flag.ACK, Flag.FIN | Flag.ACK


@dataclass
class Machine:
    """A machine and the stack it is plugged into; `head` bytes of offload header, or none."""

    head: int = 10
    verifies: bool = True
    now: float = 100.0
    stack: Stack = field(init=False)

    def __post_init__(self) -> None:
        limits = Limits(flows=8192, half_open=8192, udp_flows=8192)
        self.stack = Stack(Network(), bytes, limits)  # our first numbers are all 0
        self.port = self.stack.add_port(self.now, head=self.head, verifies=self.verifies)
        self.prefix = b"\1".ljust(self.head, b"\0") if self.head else b""
        self.stack.frames_to_send()

    def frame(self, protocol: int, data: bytes) -> memoryview:
        packet = Ipv4(GUEST, REMOTE.address, protocol, data, dont_fragment=True)
        frame = Frame(self.stack.network.mac, MAC, EtherType.IPV4, packet.emit())
        return memoryview(bytearray(self.prefix + frame.emit()))

    def segment(
        self, port: int, flags: Flag, number: int, acked: int, options: Options | None = None,
        payload: bytes = b"",
    ) -> memoryview:  # fmt: skip
        segment = Segment(
            port, REMOTE.port, number, acked, flags, 512, options or Options(), payload
        )
        return self.frame(Protocol.TCP, segment.emit(GUEST, REMOTE.address))

    def received(self, frames: list[memoryview]) -> list[event.Event]:
        self.stack.frames_received(self.port, frames, self.now)
        return self.stack.events()

    def open(self, port: int) -> Flow:
        """A connection from a port, established."""
        self.received([self.segment(port, Flag.SYN, 0, 0, SYN)])
        flow = self.stack.flows[-1]
        flow.accept(self.now)
        self.received([self.segment(port, _ACK, 1, 1)])
        self.stack.frames_to_send()
        return flow

    def conversation(self, port: int) -> tuple[list[memoryview], ...]:
        """A short connection, turn by turn: open, ask, acknowledge the answer and close, end."""
        asked = 1 + len(QUESTION)
        return (
            [self.segment(port, Flag.SYN, 0, 0, SYN)],
            [
                self.segment(port, _ACK, 1, 1),
                self.segment(port, _ACK | Flag.PSH, 1, 1, payload=QUESTION),
            ],
            [
                self.segment(port, _ACK, asked, 1 + ANSWER),
                self.segment(port, _FIN, asked, 1 + ANSWER),
            ],
            [self.segment(port, _ACK, asked + 1, 2 + ANSWER)],
        )


def answer(machine: Machine, events: list[event.Event]) -> None:
    """What a runtime does, less the sockets."""
    stack, now = machine.stack, machine.now
    for each in events:
        match each:
            case event.FlowOpened(flow):
                flow.accept(now)
            case event.DataReceived(flow):
                flow.data()
                flow.consumed(flow.pending)
                buffer = stack.spare()
                assert buffer is not None
                assert flow.room() >= ANSWER
                flow.send(buffer, ANSWER, now)
            case event.FlowFinished(flow):
                flow.finish(now)
            case _:
                pass
    stack.events()
    stack.frames_to_send()
    stack.next_timer()


def connections(machine: Machine, parallel: int) -> Iterator[float]:
    """Whole connections, `parallel` of them side by side: seconds for each."""
    plays = [machine.conversation(5000 + port) for port in range(CONNECTIONS)]
    turns = [
        [frame for frames in steps for frame in frames]
        for first in range(0, CONNECTIONS, parallel)
        for steps in zip(*plays[first : first + parallel], strict=True)
    ]
    while True:
        flows = len(machine.stack.flows)
        machine.now += 10.0
        machine.stack.timer_fired(machine.now)
        began = time.perf_counter()
        for frames in turns:
            answer(machine, machine.received(frames))
        yield (time.perf_counter() - began) / CONNECTIONS
        assert len(machine.stack.flows) == flows


def upload(machine: Machine, size: int, batch: int) -> Iterator[float]:
    """Data of one connection to the host: seconds for each frame of `size` bytes."""
    flow = machine.open(4000)
    base, count = flow.receiver.next, 4000 // batch
    frames = [
        machine.segment(4000, _ACK | Flag.PSH, base + index * size, 1, payload=NOISE[:size])
        for index in range(batch)
    ]
    while True:
        began = time.perf_counter()
        for _ in range(count):
            flow.receiver.next, flow.receiver.edge = base, base + (1 << 20)
            machine.received(frames)
            flow.data()
            flow.consumed(flow.pending)
            machine.stack.frames_to_send()
        yield (time.perf_counter() - began) / count / batch


def download(machine: Machine, size: int) -> Iterator[float]:
    """Data of one connection to the machine, acknowledged at once: seconds for each `size`."""
    flow = machine.open(4000)
    while True:
        spent = 0.0
        for _ in range(1000):
            began = time.perf_counter()
            room, buffer = flow.room(), machine.stack.spare()
            assert room >= size
            assert buffer is not None
            if buffer.payload[0] != NOISE[0]:
                buffer.payload[: len(NOISE)] = NOISE
                began = time.perf_counter()
            flow.send(buffer, size, machine.now)
            machine.stack.frames_to_send()
            spent += time.perf_counter() - began
            frame = [machine.segment(4000, _ACK, 1, flow.sender.next)]
            began = time.perf_counter()
            machine.received(frame)
            spent += time.perf_counter() - began
        yield spent / 1000


def datagrams(machine: Machine) -> Iterator[float]:
    """Datagrams of 1000 bytes that are echoed: seconds for each pair."""
    data = udp.Udp(4000, REMOTE.port, NOISE[:1000]).emit(GUEST, REMOTE.address)
    frames = [machine.frame(Protocol.UDP, data)] * 16
    machine.received(frames)
    flow = machine.stack.udp_flows[0]
    while True:
        began = time.perf_counter()
        for _ in range(100):
            machine.received(frames)
            for payload in flow.datagrams():
                flow.reply(payload, machine.now)
            machine.stack.frames_to_send()
        yield (time.perf_counter() - began) / 1600


def idle_turn(machine: Machine) -> Iterator[float]:
    """A turn for one small segment and its acknowledgment: seconds."""
    flow = machine.open(4000)
    base = flow.receiver.next
    frames = [machine.segment(4000, _ACK | Flag.PSH, base, 1, payload=QUESTION)]
    while True:
        began = time.perf_counter()
        for _ in range(2000):
            flow.receiver.next = base
            machine.received(frames)
            flow.consumed(flow.pending)
            flow.owe_ack(now=True)
            machine.stack.frames_to_send()
            machine.stack.next_timer()
        yield (time.perf_counter() - began) / 2000


def with_flows(count: int) -> Machine:
    machine = Machine()
    for port in range(count - 1):
        machine.open(10000 + port)
    machine.received([])
    return machine


Part = tuple[str, Callable[[], Iterator[float]], Callable[[float], str]]


def _rate(seconds: float) -> str:
    return f"{1 / seconds:,.0f}/s"


def _gbit(size: int) -> Callable[[float], str]:
    return lambda seconds: f"{size * 8 / seconds / 1e9:.1f} Gbit/s"


def parts() -> list[Part]:
    """What is measured: name, measure, and how its seconds are told."""
    cut = 44 * 1460
    found: list[Part] = [
        ("connections, one by one", lambda: connections(Machine(), 1), _rate),
        ("connections, 16 side by side", lambda: connections(Machine(), PARALLEL), _rate),
        ("connections, 16 side by side, no offload", lambda: connections(Machine(0), 16), _rate),
        ("up, superframes", lambda: upload(Machine(), SUPERFRAME, 16), _gbit(SUPERFRAME)),
        ("down, superframes", lambda: download(Machine(), SUPERFRAME), _gbit(SUPERFRAME)),
        ("up, no offload", lambda: upload(Machine(0), 1460, 16), _gbit(1460)),
        (
            "up, no offload, checksums believed",
            lambda: upload(Machine(0, verifies=False), 1460, 16),
            _gbit(1460),
        ),
        ("down, no offload", lambda: download(Machine(0), cut), _gbit(cut)),
        ("datagrams of 1000 bytes, echoed", lambda: datagrams(Machine()), _rate),
        ("the same, no offload", lambda: datagrams(Machine(0)), _rate),
    ]
    for count in FLOWS:
        make = lambda count=count: with_flows(count)  # noqa: E731
        found.append(
            (f"turn, {count} flows", lambda make=make: idle_turn(make()), _rate)  # type: ignore[misc]
        )
        found.append(
            (
                f"connections, {count} flows beside",
                lambda make=make: connections(make(), PARALLEL),  # type: ignore[misc]
                _rate,
            )
        )
    return found


def measure(chosen: list[Part], rounds: int) -> list[float]:
    """The best of each; the parts take turns, so that a disturbance hits all of them alike."""
    sources = [make() for _, make, _ in chosen]
    seconds = [math.inf] * len(chosen)
    for number in range(rounds):
        sys.stderr.write(f"round {number + 1} of {rounds}\n")
        for index, source in enumerate(sources):
            seconds[index] = min(seconds[index], next(source))
    return seconds


def profile(part: Part) -> None:
    """Where the time of one part goes."""
    source, profiler = part[1](), cProfile.Profile()
    next(source)
    profiler.runcall(next, source)
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def count(part: Part) -> None:
    """How many bytecodes one round of a part takes, and in which functions."""
    source, found = part[1](), Counter[CodeType]()
    next(source)

    def executed(frame: FrameType, what: str, _: object) -> TraceFunction:
        frame.f_trace_lines, frame.f_trace_opcodes = False, True
        if what == "opcode":
            found[frame.f_code] += 1
        return executed

    sys.settrace(executed)
    next(source)
    sys.settrace(None)
    sys.stdout.write(f"{part[0]}: {found.total():,} bytecodes in a round\n")
    for code, number in found.most_common(30):
        sys.stdout.write(f"{number:12,}  {number / found.total():6.1%}  {code.co_qualname}\n")


def section(rows: list[tuple[str, float, str]], rounds: int) -> str:
    python = platform.python_version()
    lines = [
        "## The network stack's core",
        "",
        f"`python bench/net_core.py`, best of {rounds}, one thread, Python {python}. The stack alone:",
        "no sockets, no link, no kernel. A connection is open, question, answer, close: six segments",
        "in, four or five out. A turn is a small segment in and its acknowledgment out.",
        "",
        "| what | µs | that is |",
        "|---|---|---|",
        *(f"| {name} | {seconds * 1e6:.1f} | {told} |" for name, seconds, told in rows),
    ]
    return "\n".join(lines)


def main() -> None:
    parser = results.parser(__doc__, 7)
    parser.add_argument("--only", default="", help="parts whose name has this in it")
    parser.add_argument("--profile", action="store_true", help="where the time goes")
    parser.add_argument("--count", action="store_true", help="how many bytecodes it takes")
    options = parser.parse_args()
    chosen = [part for part in parts() if options.only in part[0]]
    if options.profile or options.count:
        for part in chosen:
            profile(part) if options.profile else count(part)
        return
    measured = measure(chosen, options.rounds)
    rows = [
        (name, seconds, tell(seconds))
        for (name, _, tell), seconds in zip(chosen, measured, strict=True)
    ]
    results.show("network core", section(rows, options.rounds), write=options.write)


if __name__ == "__main__":
    main()
