"""Two stacks tied together by a simulated link; what arrives is what was sent, to the byte.

The one stands for the world, as in life; the other is made to play the machine: everything is
on its link, and its "machine" is the address that the first answers for.
"""

import heapq
import random
from dataclasses import dataclass, field, replace

import pytest

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.stack import Stack

MACHINE = Endpoint(bytes([192, 168, 65, 3]), 40000)
WORLD = Endpoint(bytes([93, 184, 216, 34]), 80)
MACHINE6 = Endpoint(bytes.fromhex("fdc0a841650000000000000000000003"), 40000)
WORLD6 = Endpoint(bytes.fromhex("fdc0a841650100000000000000000022"), 80)


@dataclass
class Link:
    """How frames fare between the two: chances, and seconds."""

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0
    delay: float = 0.0005
    seed: int = 1
    source: random.Random = field(init=False)

    def __post_init__(self):
        self.source = random.Random(self.seed)

    def fates(self, frame):
        """(delay, bytes) of each copy that arrives."""
        if self.source.random() < self.loss:
            return []
        if self.source.random() < self.corrupt:
            place = self.source.randrange(len(frame))
            frame = frame[:place] + bytes([frame[place] ^ 0x10]) + frame[place + 1 :]
        copies = 1 + (self.source.random() < self.duplicate)
        late = self.delay * 8 if self.source.random() < self.reorder else 0
        return [(self.delay + late, frame)] * copies


class End:
    """A runtime: sends what it is to send as there is room, takes what comes."""

    def __init__(self, stack, port, outgoing, appetite):
        self.stack, self.port = stack, port
        self.outgoing, self.position = outgoing, 0
        self.appetite = appetite
        self.taken = bytearray()
        self.flow = None
        self.finished = self.closed = self.said_all = False
        self.reset = None

    def handle(self, now):
        for each in self.stack.events():
            if isinstance(each, event.FlowOpened):
                self.flow = each.flow
                each.flow.accept(now)
            elif isinstance(each, event.FlowFinished):
                self.finished = True
            elif isinstance(each, event.FlowClosed):
                self.closed = True
            elif isinstance(each, event.FlowReset):
                self.reset = each.reason
        if self.flow is not None:
            self._take()
            self._give(now)

    def _take(self):
        data = b"".join(bytes(part) for part in self.flow.data())
        size = min(self.appetite(), len(data))
        self.taken += data[:size]
        if data:
            self.flow.consumed(size)

    def _give(self, now):
        while self.position < len(self.outgoing) and (room := self.flow.room()):
            chunk = self.outgoing[self.position : self.position + room]
            buffer = self.stack.spare()
            buffer.payload[: len(chunk)] = chunk
            self.flow.send(buffer, len(chunk), now)
            self.position += len(chunk)
        established = self.flow.state.name in ("ESTABLISHED", "CLOSE_WAIT")
        if self.position == len(self.outgoing) and established and not self.said_all:
            self.said_all = True
            self.flow.finish(now)


class World:
    """Two ends, the link between them, and time."""

    def __init__(self, link, *, head=0, six=False, timestamps=False, limits=None, active=False):
        limits = limits or Limits(time_wait_s=0.1)
        self.link, self.now, self.serial, self.queue = link, 0.0, 0, []
        machine, world = (MACHINE6, WORLD6) if six else (MACHINE, WORLD)
        network = Network(timestamps=timestamps)
        mirror = Network(
            mac=bytes.fromhex("020000000001"), gateway=MACHINE.address, prefix_length=0,
            local=frozenset({MACHINE.address, MACHINE6.address}), timestamps=timestamps,
            prefix6=WORLD6.address[:8],
        )  # fmt: skip
        object.__setattr__(mirror, "gateway6", MACHINE6.address)  # it asks as the machine
        seeds = [random.Random(7), random.Random(8)]
        self.stacks = [
            Stack(network, seeds[0].randbytes, limits),
            Stack(mirror, seeds[1].randbytes, limits),
        ]
        self.ports = [stack.add_port(0.0, head=head) for stack in self.stacks]
        self.machine, self.world, self.active = machine, world, active

    def run(self, down, up, *, appetite=lambda: 1 << 30, until=600.0):
        """Exchange: `down` goes to the machine, `up` comes from it."""
        ends = [
            End(stack, port, data, appetite)
            for stack, port, data in zip(self.stacks, self.ports, (down, up), strict=True)
        ]
        if self.active:
            ends[0].flow = self.stacks[0].open(self.machine, self.world, 0.0)
        else:
            ends[1].flow = self.stacks[1].open(self.world, self.machine, 0.0)
        while self.now < until:
            for side, end in enumerate(ends):
                end.handle(self.now)
                self._carry(side)
            if all(end.reset or (end.closed and not end.flow.pending) for end in ends):
                break
            self._pass_time()
        return ends

    def _carry(self, side):
        for _, frames in self.stacks[side].frames_to_send():
            for frame in frames:
                for delay, data in self.link.fates(b"".join(frame)):
                    self.serial += 1
                    heapq.heappush(self.queue, (self.now + delay, self.serial, 1 - side, data))

    def _pass_time(self):
        timers = [stack.next_timer() for stack in self.stacks]
        arrival = self.queue[0][0] if self.queue else float("inf")
        self.now = max(self.now, min(arrival, *timers, self.now + 0.05))
        for stack, when in zip(self.stacks, timers, strict=True):
            if when <= self.now:
                stack.timer_fired(self.now)
        batches: tuple[list[memoryview], ...] = ([], [])
        while self.queue and self.queue[0][0] <= self.now:
            _, _, side, data = heapq.heappop(self.queue)
            batches[side].append(memoryview(bytearray(data)))
        for side, batch in enumerate(batches):
            if batch:
                self.stacks[side].frames_received(self.ports[side], batch, self.now)


def check(world, ends, down, up):
    assert [end.reset for end in ends] == [None, None]
    assert bytes(ends[1].taken) == down
    assert bytes(ends[0].taken) == up
    for stack in world.stacks:
        stack.timer_fired(world.now + 1)
        assert stack.flows == ()
        assert stack.held == 0
        assert stack.buffers_in_flight == 0


LINKS = {
    "clean": Link(),
    "loss": Link(loss=0.02),
    "heavy loss": Link(loss=0.15, seed=3),
    "duplicates": Link(duplicate=0.2),
    "reordering": Link(reorder=0.2),
    "corruption": Link(corrupt=0.03),
    "everything": Link(0.03, 0.05, 0.1, 0.02, seed=5),
}


@pytest.mark.parametrize("name", LINKS)
@pytest.mark.parametrize("timestamps", [False, True])
def test_both_ways(name, timestamps):
    rng = random.Random(name)
    down, up = rng.randbytes(300_000), rng.randbytes(200_000)
    world = World(replace(LINKS[name]), timestamps=timestamps)
    check(world, world.run(down, up), down, up)


@pytest.mark.parametrize("name", ["clean", "loss", "reordering"])
@pytest.mark.parametrize("options", [{"six": True}, {"active": True}, {"head": 10}, {"head": 12, "six": True}])  # fmt: skip
def test_other_shapes(name, options):
    rng = random.Random(name)
    down, up = rng.randbytes(150_000), rng.randbytes(400_000)
    world = World(replace(LINKS[name]), **options)
    check(world, world.run(down, up), down, up)


def test_slow_readers():
    rng = random.Random(1)
    down, up = rng.randbytes(3_000_000), rng.randbytes(3_000_000)
    world = World(Link(loss=0.001))
    appetite = random.Random(4)
    ends = world.run(down, up, appetite=lambda: appetite.choice((0, 100, 3000, 40000, 200000)))
    check(world, ends, down, up)


def test_reader_that_stops_for_a_minute():
    data = random.Random(2).randbytes(3_000_000)
    world = World(Link())
    appetite = lambda: 0 if world.now < 60 else 1 << 30  # noqa: E731
    ends = world.run(data, data, appetite=appetite)
    assert world.now < 200
    check(world, ends, data, data)


def test_nothing_at_all():
    world = World(Link(loss=0.3, seed=9))
    check(world, world.run(b"", b""), b"", b"")


def test_dead_link_ends_the_flow():
    world = World(Link())
    data = bytes(20_000_000)
    ends = world.run(data, data, until=0.01)
    world.link.loss = 1.0
    for _ in range(20000):
        world._pass_time()
        for side, end in enumerate(ends):
            end.handle(world.now)
            world._carry(side)
    assert [end.reset for end in ends] == [event.Reason.TIMED_OUT] * 2
    assert [stack.flows for stack in world.stacks] == [(), ()]
    assert [stack.buffers_in_flight for stack in world.stacks] == [0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_random_links(seed):
    rng = random.Random(seed)
    link = Link(
        rng.uniform(0, 0.1), rng.uniform(0, 0.2), rng.uniform(0, 0.3), rng.uniform(0, 0.05),
        rng.choice((0.0001, 0.005, 0.05)), seed,
    )  # fmt: skip
    down, up = rng.randbytes(rng.randrange(100_000)), rng.randbytes(rng.randrange(100_000))
    world = World(link, timestamps=bool(seed & 1))
    check(world, world.run(down, up), down, up)


GOLDEN = {
    "clean": 0.01,
    "loss": 0.03,
    "heavy loss": 0.04,
    "duplicates": 0.01,
    "reordering": 0.05,
    "corruption": 2.06,  # of which a second for the handshake
    "everything": 1.04,  # of which a second
}


@pytest.mark.parametrize("name", LINKS)
def test_time_of_a_transfer(name):
    """How long 2 MB take over each link, in simulated seconds: whoever changes this knows it."""
    data = random.Random(name).randbytes(2_000_000)
    world = World(replace(LINKS[name]))
    world.run(data, b"")
    assert round(world.now, 2) == GOLDEN[name]
