"""Playbooks: conversations between a machine and the stack, written down line by line.

    < SA 0 ack 1 win 100 "text"     the machine sends: flags, number, acknowledgment, payload
    > A  1 ack 5                    the stack sends exactly this next
    > nothing                       and nothing more
    ! FlowOpened                    the next event
    - accept                        the runtime acts: accept, refuse REASON, send "text", consume
                                    [n], finish, abort, wait SECONDS, room N
    = ESTABLISHED                   the flow's state

Numbers count from each side's first, whatever it is; options after `win`: sack 5-9, ts 1, rep 3
(the text three times).
"""

import re
from dataclasses import dataclass
from typing import Any

import pytest

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.stack import Stack
from sampan.net.wire import address, arp, ethernet
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.ipv6 import Ipv6
from sampan.net.wire.tcp import Flag, Options, Segment
from sampan.net.wire.vnet import Offload

MAC = bytes.fromhex("020000000001")
GUEST = Endpoint(bytes([192, 168, 65, 3]), 40000)
REMOTE = Endpoint(bytes([93, 184, 216, 34]), 80)
GUEST6 = Endpoint(bytes.fromhex("fdc0a841650000000000000000000003"), 40000)
REMOTE6 = Endpoint(bytes.fromhex("26062800022000010248189325c81946"), 80)
FIRST = 0xFFFFFFF0  # the machine's first number: it wraps soon
OURS = 0xFFFFFFFA  # ours
FLAGS = {"S": Flag.SYN, "A": Flag.ACK, "F": Flag.FIN, "R": Flag.RST, "P": Flag.PSH}
M = 0xFFFFFFFF


def entropy(size: int) -> bytes:
    return OURS.to_bytes(4, "big")[:size]


@dataclass
class Machine:
    """A machine on a port of a stack, by hand."""

    stack: Stack
    port: Any
    mac: bytes = MAC
    guest: Endpoint = GUEST
    remote: Endpoint = REMOTE
    now: float = 100.0

    def frames(self, *frames: bytes) -> None:
        head = bytes(self.port.head)
        views = [memoryview(bytearray(head + frame)) for frame in frames]
        self.stack.frames_received(self.port, views, self.now)

    def packet(self, protocol: int, payload: bytes, **fields: Any) -> None:
        self.frames(self.frame(protocol, payload, **fields))

    def frame(self, protocol: int, payload: bytes, **fields: Any) -> bytes:
        source = fields.pop("source", self.guest.address)
        destination = fields.pop("destination", self.remote.address)
        to = fields.pop("to", self.stack.network.mac)
        kind, layer = (EtherType.IPV4, Ipv4) if len(source) == 4 else (EtherType.IPV6, Ipv6)
        packet = layer(source, destination, protocol, payload, **fields)
        return Frame(to, self.mac, kind, packet.emit()).emit()

    def segment(self, flags: int, sequence: int, ack: int = 0, **fields: Any) -> None:
        fields.setdefault("window", 65535)
        segment = Segment(
            self.guest.port, self.remote.port, sequence & M, ack & M, Flag(flags), **fields
        )
        self.packet(Protocol.TCP, segment.emit(self.guest.address, self.remote.address))

    def sent(self) -> list[Frame]:
        """The Ethernet frames that the stack sends to this machine's port."""
        out = []
        for port, frames in self.stack.frames_to_send():
            if port is self.port:
                out += [Frame.parse(b"".join(frame)[port.head :]) for frame in frames]
        return out

    def packets(self) -> list[Any]:
        return [
            (Ipv4 if frame.ethertype == EtherType.IPV4 else Ipv6).parse(frame.payload)
            for frame in self.sent()
            if frame.ethertype != EtherType.ARP
        ]

    def segments(self) -> list[Segment]:
        return [
            Segment.parse(
                packet.payload, packet.source, packet.destination, check=not self.port.head
            )
            for packet in self.packets()
            if packet.protocol == Protocol.TCP
        ]

    def offloads(self) -> list[Offload]:
        return [
            Offload.parse(b"".join(frame))
            for _, frames in self.stack.frames_to_send()
            for frame in frames
        ]

    def arp(self, ip: bytes | None = None, operation: int = 1, target: bytes | None = None) -> None:
        packet = arp.Arp(
            arp.Operation(operation),
            self.mac,
            self.guest.address if ip is None else ip,
            bytes(6),
            target or self.stack.network.gateway,
        )
        kind = ethernet.EtherType.ARP
        self.frames(Frame(address.BROADCAST_MAC, self.mac, kind, packet.emit()).emit())

    def events(self) -> list[Any]:
        return [
            each for each in self.stack.events() if not isinstance(each, event.NeighbourLearned)
        ]

    def wait(self, seconds: float) -> None:
        """Let time pass, and every timer fire when it is due."""
        until = self.now + seconds
        while (when := self.stack.next_timer()) <= until:
            self.now = max(when, self.now)
            self.stack.timer_fired(self.now)
        self.now = until

    def send(self, data: bytes, flow: Any = None) -> None:
        flow = flow or self.stack.flows[0]
        buffer = self.stack.spare()
        buffer.payload[: len(data)] = data
        flow.send(buffer, len(data), self.now)


class Player:
    """Plays a book with a machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.flow: Any = None
        self.sent: list[Segment] = []
        self.events: list[Any] = []
        self.taken = b""

    def play(self, book: str) -> "Player":
        for line in filter(None, map(str.strip, book.splitlines())):
            kind, _, rest = line.partition(" ")
            try:
                {"<": self._in, ">": self._out, "!": self._event, "-": self._act, "=": self._state}[
                    kind
                ](rest.strip())
            except AssertionError as error:
                raise AssertionError(f"at {line!r}: {error}") from None
        self._collect()
        assert self.sent == [], "the stack sent more than the book says"
        assert self.events == [], "more happened than the book says"
        return self

    def _collect(self) -> None:
        self.events += self.machine.events()
        self.sent += self.machine.segments()

    def _in(self, text: str) -> None:
        assert self.sent == []
        flags, number, rest = re.fullmatch(r"(\w+) +(\d+)(.*)", text).groups()
        sack = tuple(
            (OURS + int(low) & M, OURS + int(high) & M)
            for low, high in re.findall(r"(\d+)-(\d+)", rest)
        )
        ts = re.search(r"ts (\d+)", rest)
        options = Options(sack=sack, timestamp=(int(ts[1]), 0) if ts else None)
        if "S" in flags:
            options = Options(
                mss=1460,
                window_shift=7,
                sack_permitted="nosack" not in rest,
                timestamp=options.timestamp,
            )
        self.machine.segment(
            sum(FLAGS[each] for each in flags),
            FIRST + int(number),
            OURS + self._find(r"ack (\d+)", rest, 0) if "A" in flags else 0,
            window=self._find(r"win (\d+)", rest, 512),
            options=options,
            payload=self._payload(rest),
        )
        self._collect()

    def _payload(self, text: str) -> bytes:
        found = re.search(r'"(.*)"', text)
        return found[1].encode() * self._find(r"rep (\d+)", text, 1) if found else b""

    @staticmethod
    def _find(pattern: str, text: str, default: int) -> int:
        found = re.search(pattern, text)
        return int(found[1]) if found else default

    def _out(self, text: str) -> None:
        self.sent += self.machine.segments()
        if text == "nothing":
            assert self.sent == []
            return
        assert self.sent, "the stack sent nothing"
        segment = self.sent.pop(0)
        flags, number, rest = re.fullmatch(r"(\w+) +(\d+)(.*)", text).groups()
        found = "".join(name for name, flag in FLAGS.items() if segment.flags & flag)
        assert sorted(found) == sorted(flags), f"flags {found}"
        assert (segment.sequence - OURS) & M == int(number), f"number {segment.sequence - OURS & M}"
        if "A" in flags:
            ack = (segment.acknowledgment - FIRST) & M
            assert ack == self._find(r"ack (\d+)", rest, 0), f"ack {ack}"
        assert segment.payload == self._payload(rest)
        window = self._find(r"win (\d+)", rest, -1)
        assert window in (-1, segment.window), f"window {segment.window}"
        blocks = [tuple((each - FIRST) & M for each in block) for block in segment.options.sack]
        assert blocks == [
            (int(low), int(high)) for low, high in re.findall(r"(\d+)-(\d+)", rest)
        ], f"SACK {blocks}"

    def _event(self, text: str) -> None:
        self._collect()
        name, _, reason = text.partition(" ")
        assert self.events, "nothing happened"
        found = self.events.pop(0)
        assert type(found).__name__ == name, str(found)
        assert not reason or found.reason.name == reason
        self.flow = found.flow

    def _act(self, text: str) -> None:
        verb, _, rest = text.partition(" ")
        now = self.machine.now
        if verb == "send":
            self.machine.send(self._payload(rest), self.flow)
        elif verb == "consume":
            taken = b"".join(self.flow.data())
            size = int(rest) if rest else len(taken)
            self.taken += taken[:size]
            self.flow.consumed(size)
        elif verb == "wait":
            self.machine.wait(float(rest))
        elif verb == "room":
            assert self.flow.room() == int(rest), self.flow.room()
        elif verb == "refuse":
            self.flow.refuse(event.Refusal[rest], now)
        else:
            getattr(self.flow, verb)(now)

    def _state(self, text: str) -> None:
        assert self.flow.state.name == text, self.flow.state.name


OPENED = """
    < S 0
    ! FlowOpened
    > nothing
    - accept
    > SA 0 ack 1
    < A 1 ack 1
    ! FlowEstablished
    = ESTABLISHED
"""


@pytest.fixture
def make_machine():
    """Makes a machine on a stack of its own: keywords of Network, Limits, Port and Machine."""

    def make(
        limits: Limits | None = None, head: int = 0, mtu: int = 1500, **fields: Any
    ) -> Machine:
        network = Network(timestamps=fields.pop("timestamps", False))
        stack = Stack(network, entropy, limits or Limits())
        machine = Machine(stack, stack.add_port(100.0, head=head, mtu=mtu), **fields)
        stack.frames_to_send()  # the router's advertisement
        return machine

    return make


@pytest.fixture
def make_machine6(make_machine):
    return lambda **fields: make_machine(guest=GUEST6, remote=REMOTE6, **fields)


@pytest.fixture
def machine(make_machine):
    return make_machine()


@pytest.fixture
def play(machine):
    """Plays a book on a fresh stack."""
    return lambda book: Player(machine).play(book)


@pytest.fixture
def player(machine) -> Player:
    return Player(machine)


@pytest.fixture
def make_player(make_machine):
    return lambda **fields: Player(make_machine(**fields))


@pytest.fixture
def opened() -> str:
    """The book of a passive opening."""
    return OPENED
