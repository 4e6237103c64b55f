"""Fuzz target: real conversations of several machines with the stack, mutated on their way.

Each machine is another stack that plays one (see tests/net/core/test_transfer.py): it opens
connections, sends, pings, and answers what the stack under test says, so that frames come from
every state there is. On the way they are lost, repeated, held back, replayed, sent from another
port, cut into fragments, turned into errors about themselves, or changed where it hurts, mostly
with checksums made right again. Nothing may be raised; no bound or count may be off; and once
nobody speaks any more, everything must end, and a new conversation succeed.

The input is the seed of all choices. For a longer run than that of an input:

    python fuzz/fuzz_conversation.py 1000000 [SEED]
"""

import random
import sys
import time
from collections import Counter, deque

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.flow import Flow
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.core.stack import Stack
from sampan.net.core.state import HALF_OPEN, SENDING, State
from sampan.net.wire import icmpv4, udp
from sampan.net.wire.checksum import checksum, pseudo_sum
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4
from sampan.net.wire.ipv6 import Ipv6

FRAMES = 150  # of one input
EPISODE = 5000  # of a longer run: frames before everything must come to its end
HEADS = (0, 10, 12, 0)
A_LONG_TIME_S = 100_000.0
LIMITS = Limits(
    flows=48, half_open=24, udp_flows=24, addresses=6, kept_total=1 << 18, buffers_total=4,
    idle_s=500.0, time_wait_total=32,
)  # fmt: skip
WORLD4 = [bytes([93, 184, 216, number]) for number in (34, 35)]
WORLD6 = bytes.fromhex("fdc0a841650100000000000000000022")
CHECKSUMS = {1: 2, 6: 16, 17: 6, 58: 2}  # where each protocol has its checksum


class Machine:
    """One machine: a stack that plays it, and the link to the stack under test."""

    def __init__(self, number: int, choose: random.Random) -> None:
        self.choose = choose
        self.mac = bytes([2, 0, 0, 0, 0, number])
        self.ip = bytes([192, 168, 65, 10 + number])
        self.ip6 = bytes.fromhex("fdc0a84165000000") + bytes(7) + bytes([10 + number])
        network = Network(
            mac=self.mac, gateway=self.ip, prefix_length=0, local=frozenset({self.ip, self.ip6}),
            prefix6=WORLD6[:8], timestamps=choose.random() < 0.5,
        )  # fmt: skip
        object.__setattr__(network, "gateway6", self.ip6)  # it asks as the machine
        self.stack = Stack(network, choose.randbytes, LIMITS)
        self.head = choose.choice(HEADS)
        self.port = self.stack.add_port(0.0, head=self.head)
        self.received: list[memoryview] = []

    def begin(self, others: list["Machine"], now: float) -> None:
        """Something new: a connection, a datagram, a ping."""
        chance = self.choose.random()
        if chance < 0.6:
            self._connect(self.choose.choice(others), now)
        elif chance < 0.85:
            self._ask()
        else:
            echo = icmpv4.Echo(False, 1, self.choose.randrange(9), self.choose.randbytes(40))
            to = self.choose.choice((*WORLD4, Network().gateway))
            self._packet(Ipv4(self.ip, to, 1, echo.emit()))

    def _connect(self, other: "Machine", now: float) -> None:
        port = self.choose.randrange(1, 60000)
        pairs = [(self.ip, other.ip), (self.ip6, WORLD6), *((self.ip, to) for to in WORLD4)]
        mine, to = self.choose.choice(pairs)
        if mine != to and len(self.stack.flows) < 12:
            self.stack.open(Endpoint(to, self.choose.choice((80, 443))), Endpoint(mine, port), now)

    def _ask(self) -> None:
        data = self.choose.randbytes(self.choose.choice((0, 30, 1000, 1400, 5000)))
        datagram = udp.Udp(self.choose.randrange(1, 99), self.choose.choice((53, 99)), data)
        if self.choose.random() < 0.3:
            self._packet(Ipv6(self.ip6, WORLD6, 17, datagram.emit(self.ip6, WORLD6)))
        else:
            to = self.choose.choice((*WORLD4, Network().gateway))
            self._packet(Ipv4(self.ip, to, 17, datagram.emit(self.ip, to)))

    def _packet(self, packet: Ipv4 | Ipv6) -> None:
        kind = EtherType.IPV4 if isinstance(packet, Ipv4) else EtherType.IPV6
        self.port.send_plain(Frame(Network().mac, self.mac, kind, packet.emit()).emit())


def act(stack: Stack, choose: random.Random, now: float, seen: Counter[str] | None = None) -> None:
    """A runtime that does what runtimes may do, not always wisely."""
    for each in stack.events():
        if seen is not None:
            seen[type(each).__name__] += 1
        match each:
            case event.FlowOpened(flow) if choose.random() < 0.85:
                flow.accept(now)
            case event.FlowOpened(flow) if choose.random() < 0.8:
                flow.refuse(choose.choice(list(event.Refusal)), now)
            case event.DataReceived(flow) | event.RoomOpened(flow) | event.FlowEstablished(flow):
                move(stack, flow, choose, now)
            case event.FlowFinished(flow):
                flow.consumed(flow.pending)
                if choose.random() < 0.7 and flow.state in SENDING:
                    flow.finish(now)
            case _:
                answer(stack, each, choose, now)
    flows = stack.flows
    for flow in choose.sample(flows, min(2, len(flows))):
        move(stack, flow, choose, now)
        chance = choose.random()
        if chance < 0.02:
            flow.abort(now)
        elif chance < 0.12 and flow.state in SENDING:
            flow.finish(now)


def answer(stack: Stack, each: event.Event, choose: random.Random, now: float) -> None:
    """The runtime's part in what is not TCP."""
    match each:
        case event.DatagramsReceived(flow):
            for payload in flow.datagrams():
                flow.reply(payload, now)
            if choose.random() < 0.1:
                flow.refuse(choose.choice(list(event.Refusal)), now)
        case event.EchoRequested() if choose.random() < 0.5:
            stack.send_echo_reply(each, each.payload, now)
        case event.EchoRequested():
            stack.send_error(each, choose.choice(list(event.Refusal)), now)
        case event.ServiceDatagram():
            stack.send_datagram(each.destination, each.source, each.payload, now)
        case _:
            pass


def move(stack: Stack, flow: Flow, choose: random.Random, now: float) -> None:
    """Take some of what came, and send something."""
    size = sum(map(len, flow.data()))
    flow.consumed(choose.choice((0, size // 2, size, size, size)))
    for _ in range(choose.randrange(3)):
        room, buffer = flow.room(), stack.spare()
        if buffer is None or not room:
            return
        flow.send(buffer, choose.choice((1, room, room, min(room, 1000))), now)


class Mischief:
    """What happens to frames between a machine and the stack."""

    def __init__(self, choose: random.Random) -> None:
        self.choose = choose
        self.old: deque[tuple[int, bytes]] = deque(maxlen=100)  # with their offload header's length
        self.late: list[tuple[Machine, bytes]] = []

    def passes(self, machine: Machine, frame: bytes) -> list[tuple[Machine, bytes]]:
        """What comes of a frame: whose it is said to be, and its bytes."""
        choose, chance = self.choose, self.choose.random()
        self.old.append((machine.head, frame))
        if chance < 0.70:
            return [(machine, frame)]
        if chance < 0.73:
            return []
        if chance < 0.76:
            return [(machine, frame)] * choose.choice((2, 2, 5))
        if chance < 0.79:
            self.late.append((machine, frame))
            return []
        if chance < 0.82:
            return [(machine, self._as_from(machine, *choose.choice(self.old))), (machine, frame)]
        if chance < 0.84:
            pieces = self._fragments(frame[machine.head :])
            return [(machine, bytes(machine.head) + piece) for piece in pieces]
        if chance < 0.86:
            late, self.late = self.late, []
            return [*late, (machine, frame)]
        return [(machine, self.changed(frame, machine.head))]

    @staticmethod
    def _as_from(machine: Machine, head: int, frame: bytes) -> bytes:
        return bytes(machine.head) + frame[head:]

    def _fragments(self, frame: bytes) -> list[bytes]:
        """The frame's packet in pieces, which may be lost, doubled, or overlap."""
        if frame[12:15] != b"\x08\x00\x45" or len(frame) < 60:
            return [frame]
        try:
            packet = Ipv4.parse(frame[14:], check=False)
        except ValueError:
            return [frame]
        size = 8 * self.choose.randrange(1, 80)
        starts = list(range(0, len(packet.payload), size))[:40]
        if self.choose.random() < 0.5:
            self.choose.shuffle(starts)
        longer = self.choose.choice((0, 0, 0, 8))
        return [
            frame[:14]
            + Ipv4(
                packet.source, packet.destination, packet.protocol,
                packet.payload[start : start + size + longer], identification=self.choose.randrange(4),
                more_fragments=start + size < len(packet.payload), offset=start,
            ).emit()
            for start in starts
        ]  # fmt: skip

    def complaint(self, frame: bytes) -> bytes | None:
        """An ICMP error of the machine about a frame that was sent to it."""
        if frame[12:14] != b"\x08\x00" or len(frame) < 42:
            return None
        code = self.choose.choice((0, 1, 3, 3, 4, 4, 13, 77))
        quote = bytearray(frame[14 : 14 + self.choose.choice((20, 28, 28, 60))])
        if self.choose.random() < 0.3:
            quote[self.choose.randrange(len(quote))] ^= 1 << self.choose.randrange(8)
        mtu = self.choose.choice((0, 68, 600, 1400, 65535))
        error = icmpv4.DestinationUnreachable(code, bytes(quote), mtu).emit()
        packet = Ipv4(frame[30:34], frame[26:30], 1, error).emit()
        return frame[6:12] + frame[:6] + b"\x08\x00" + packet

    def changed(self, frame: bytes, head: int) -> bytes:
        """The frame with one to three fields changed, its checksums mostly made right again."""
        choose, data = self.choose, bytearray(frame)
        for _ in range(choose.randrange(1, 4)):
            choose.choice((_number, _number, _flags, _window, _byte, _byte, _length, _tail))(
                choose, data, head
            )
        if choose.random() < 0.8:
            mend(data, head)
        return bytes(data)


def _transport(data: bytearray, head: int) -> int:
    return head + (34 if data[head + 12 : head + 14] == b"\x08\x00" else 54)


def _number(choose: random.Random, data: bytearray, head: int) -> None:
    """A sequence number or acknowledgment, by a little or by much."""
    at = _transport(data, head) + choose.choice((4, 8))
    by = choose.choice(
        (1, -1, 2, 500, -500, 1460, 70_000, 1 << 20, 1 << 31, choose.getrandbits(32))
    )
    if at + 4 <= len(data):
        value = int.from_bytes(data[at : at + 4], "big") + by
        data[at : at + 4] = (value & 0xFFFFFFFF).to_bytes(4, "big")


def _flags(choose: random.Random, data: bytearray, head: int) -> None:
    at = _transport(data, head) + 13
    if at < len(data):
        data[at] ^= choose.choice((1, 2, 4, 8, 16, 17, 18, 20, 32))


def _window(choose: random.Random, data: bytearray, head: int) -> None:
    at = _transport(data, head) + 14
    if at + 2 <= len(data):
        data[at : at + 2] = choose.choice((b"\0\0", b"\0\1", b"\xff\xff", choose.randbytes(2)))


def _byte(choose: random.Random, data: bytearray, head: int) -> None:
    """A byte of the headers, or of the offload header, or of anything."""
    if data:
        data[choose.randrange(min(len(data), choose.choice((head + 20, head + 80, 9999))))] = (
            choose.choice((0, 1, 255, choose.getrandbits(8)))
        )


def _length(choose: random.Random, data: bytearray, head: int) -> None:
    at = head + choose.choice((16, 18, 20))  # IPv4's length or fragment, IPv6's length
    if at + 2 <= len(data):
        data[at : at + 2] = choose.choice((b"\0\0", b"\0\x28", b"\x20\0", choose.randbytes(2)))


def _tail(choose: random.Random, data: bytearray, head: int) -> None:
    if choose.random() < 0.5:
        del data[choose.randrange(len(data) + 1) :]
    else:
        data += choose.randbytes(choose.randrange(60))


def mend(data: bytearray, head: int) -> None:
    """Make the checksums of an IPv4 or IPv6 frame right, where there is enough of it."""
    six = data[head + 12 : head + 14] == b"\x86\xdd"
    start = head + 14
    end = start + 40 if six else start + (data[start] & 15) * 4 if len(data) > start else 0
    if len(data) < end or len(data) < start + 20:
        return
    if six:
        protocol, source, destination = data[start + 6], *_addresses(data, start + 8, 16)
    else:
        protocol, source, destination = data[start + 9], *_addresses(data, start + 12, 4)
        data[start + 10 : start + 12] = b"\0\0"
        data[start + 10 : start + 12] = checksum(bytes(data[start:end])).to_bytes(2, "big")
    at = end + CHECKSUMS.get(protocol, 1 << 20)
    if at + 2 > len(data):
        return
    data[at : at + 2] = b"\0\0"
    body = bytes(data[end:])
    pseudo = pseudo_sum(source, destination, protocol, len(body)) if protocol != 1 else 0
    data[at : at + 2] = checksum(pseudo.to_bytes(2, "big"), body).to_bytes(2, "big")


def _addresses(data: bytearray, at: int, size: int) -> tuple[bytes, bytes]:
    return bytes(data[at : at + size]), bytes(data[at + size : at + 2 * size])


class World:
    """The stack under test, its machines, and time."""

    def __init__(self, choose: random.Random) -> None:
        self.choose, self.now, self.frames = choose, 0.0, 0
        self.seen: Counter[str] = Counter()
        network = Network(timestamps=choose.random() < 0.5)
        self.stack = Stack(network, choose.randbytes, LIMITS)
        self.mischief = Mischief(choose)
        self.machines = [Machine(number, choose) for number in range(1, 4)]
        self.ports: dict[Machine, Port] = {}
        for machine in self.machines:
            self.plug(machine)

    def plug(self, machine: Machine, mac: bytes = b"") -> None:
        self.ports[machine] = self.stack.add_port(
            self.now, head=machine.head, mac=mac, verifies=self.choose.random() < 0.8
        )

    def turn(self, *, clean: bool = False, quiet: bool = False) -> None:
        """Machines speak, frames pass, the stack and its runtime answer, time goes on."""
        choose = self.choose
        arriving: list[tuple[Machine, bytes]] = []
        for machine in self.machines:
            if machine.received:
                machine.stack.frames_received(machine.port, machine.received, self.now)
                machine.received = []
            act(machine.stack, choose, self.now)
            if not quiet and choose.random() < 0.3:
                machine.begin(self.machines, self.now)
            for _, frames in machine.stack.frames_to_send():
                for frame in frames:
                    data = b"".join(frame)
                    arriving += [(machine, data)] if clean else self.mischief.passes(machine, data)
        self._arrive(arriving, clean)
        if not quiet and choose.random() < 0.05:
            self._open()
        self._pass_time()

    def _arrive(self, arriving: list[tuple[Machine, bytes]], clean: bool) -> None:
        for machine in self.machines:
            batch = [memoryview(bytearray(data)) for whose, data in arriving if whose is machine]
            self.frames += len(batch)
            self.stack.frames_received(self.ports[machine], batch, self.now)
            act(self.stack, self.choose, self.now, self.seen)
        owners = {port: machine for machine, port in self.ports.items()}
        for port, frames in self.stack.frames_to_send():
            machine = owners[port]
            for frame in frames:
                data = b"".join(frame)
                if clean or self.choose.random() > 0.03:
                    machine.received.append(memoryview(bytearray(data)))
                if not clean and self.choose.random() < 0.02:
                    error = self.mischief.complaint(data[port.head :])
                    if error is not None:
                        self.mischief.late.append((machine, bytes(machine.head) + error))

    def _open(self) -> None:
        """The stack opens a connection to a machine."""
        choose = self.choose
        guest = Endpoint(choose.choice(self.machines).ip, choose.randrange(1, 9))
        remote = Endpoint(choose.choice(WORLD4), choose.randrange(1, 60000))
        if all((flow.guest, flow.remote) != (guest, remote) for flow in self.stack.flows):
            self.stack.open(guest, remote, self.now)

    def _pass_time(self) -> None:
        self.now += self.choose.choice((0.0, 0.0002, 0.0002, 0.003, 0.05, 0.3))
        if self.choose.random() < 0.003:
            self.now += self.choose.choice((2.0, 70.0, 700.0))
        for stack in (self.stack, *(machine.stack for machine in self.machines)):
            if stack.next_timer() <= self.now:
                stack.timer_fired(self.now)

    def replug(self) -> None:
        """A machine's link is pulled out and plugged in again."""
        machine = self.choose.choice(self.machines)
        self.stack.remove_port(self.ports[machine], self.now)
        machine.received = []
        self.plug(machine)

    def check(self) -> None:
        """Bounds hold, and counts are what is counted."""
        stack, flows = self.stack, self.stack.flows
        assert stack.held <= LIMITS.kept_total + (1 << 17), stack.held
        assert 0 <= stack.buffers_in_flight <= LIMITS.buffers_total
        for port in self.ports.values():
            mine = [
                flow for flow in flows if flow.port is port and flow.state is not State.TIME_WAIT
            ]
            half = [flow for flow in mine if flow.state in HALF_OPEN]
            assert (port.flows, port.half_open) == (len(mine), len(half))
            assert port.udp_flows == sum(flow.port is port for flow in stack.udp_flows)
            assert port.stations == sum(each is port for each in stack.stations.values())
            assert port.stations <= LIMITS.addresses

    def end(self) -> None:
        """Nobody speaks any more: everything comes to its end by itself."""
        stack, until = self.stack, self.now + A_LONG_TIME_S
        while (stack.flows or stack.udp_flows) and stack.next_timer() <= until:
            self.now = max(stack.next_timer(), self.now)
            stack.timer_fired(self.now)
            act(stack, self.choose, self.now, self.seen)
            for flow in stack.flows:
                flow.consumed(flow.pending)
            stack.frames_to_send()
        left = stack.flows, stack.udp_flows, stack.held, stack.buffers_in_flight
        assert left == ((), (), 0, 0), f"stuck or lost: {left}"
        self.check()

    def talk(self) -> None:
        """After all that: a machine that is new says hello, and is heard.

        Its MAC is known beforehand: others may have used it in all that noise.
        """
        self.stack.remove_port(self.ports.pop(self.machines.pop()), self.now)
        machine = Machine(77, self.choose)
        self.machines = [machine]
        self.plug(machine, machine.mac)
        flow = machine.stack.open(
            Endpoint(WORLD4[0], 7), Endpoint(machine.ip, 7), self.now
        )  # fmt: skip
        for _ in range(4000):
            self.turn(clean=True, quiet=True)
            if flow.received and flow.delivered:
                return
            if not flow.is_alive:  # the runtime refused, or gave up: as it does
                flow = machine.stack.open(Endpoint(WORLD4[0], 7), Endpoint(machine.ip, 7), self.now)
        raise AssertionError("a new machine is not heard")


def play(choose: random.Random, frames: int) -> World:
    """One episode."""
    world = World(choose)
    while world.frames < frames:
        world.turn()
        if choose.random() < 0.1:
            world.check()
        if choose.random() < 0.001:
            world.replug()
    world.end()
    return world


def one(data: bytes) -> None:
    """An episode whose every choice follows from `data`."""
    play(random.Random(data), FRAMES)


def main() -> None:
    wanted = int(sys.argv[1])
    seed = sys.argv[2] if len(sys.argv) > 2 else "0"
    began, frames, episodes, seen = time.monotonic(), 0, 0, Counter[str]()
    while frames < wanted:
        try:
            world = play(random.Random(f"{seed} {episodes}"), EPISODE)
            world.talk()
        except BaseException:
            print(f"seed {seed}, episode {episodes}")
            raise
        frames, episodes = frames + world.frames, episodes + 1
        seen += world.seen
    seconds = time.monotonic() - began
    print(f"{frames} frames in {episodes} episodes, {seconds:.0f} s; nothing raised, lost or stuck")
    print(", ".join(f"{count} {name}" for name, count in seen.most_common()))


if __name__ == "__main__":
    main()
