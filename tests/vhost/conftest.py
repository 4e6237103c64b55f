"""The other side: a driver's half of a virtqueue, and a front-end's messages."""

import struct

import pytest

from sampan.vhost.core.memory import Memory, Region
from sampan.vhost.core.message import HEADER
from sampan.vhost.core.ring import DESCRIPTOR, Layout, Ring

NEXT, WRITE, INDIRECT = 1, 2, 4
USER = 0x7F00_0000_0000  # added to a guest's address to get the front-end's
_REGION = struct.Struct("<QQQQ")


class Driver:
    """A driver's half of a ring that lies at `at` in `memory` (whose guest address is 0)."""

    def __init__(self, memory, at=0, size=8, *, event_index=True):
        self.memory = memory
        self.size = size
        self.event_index = event_index
        self.table = at
        self.available = at + 16 * size
        self.used = (self.available + 6 + 2 * size + 3) & ~3
        self.end = self.used + 6 + 8 * size
        self.index = 0  # of the available ring
        self.seen = 0  # of the used ring
        self.free = list(range(size))
        self.chains = {}  # head → the chain's descriptors

    def layout(self, writable, *, indirect=True):
        return Layout(
            self.size, USER + self.table, USER + self.available, USER + self.used, writable,
            self.event_index, indirect,
        )  # fmt: skip

    def describe(self, number, address, length, flags=0, following=0, table=None):
        at = (self.table if table is None else table) + 16 * number
        DESCRIPTOR.pack_into(self.memory, at, address, length, flags, following)

    def offer(self, buffers, *, flags=0, indirect_at=None):
        """Make a chain of (address, length) available: its head."""
        flags_of = [flags | (NEXT if n + 1 < len(buffers) else 0) for n in range(len(buffers))]
        if indirect_at is not None:
            for number, (address, length) in enumerate(buffers):
                self.describe(number, address, length, flags_of[number], number + 1, indirect_at)
            numbers = [self.free.pop(0)]
            self.describe(numbers[0], indirect_at, 16 * len(buffers), INDIRECT)
        else:
            numbers = [self.free.pop(0) for _ in buffers]
            for place, number in enumerate(numbers):
                following = numbers[place + 1] if place + 1 < len(numbers) else 0
                address, length = buffers[place]
                self.describe(number, address, length, flags_of[place], following)
        self.chains[numbers[0]] = numbers
        self.publish(numbers[0])
        return numbers[0]

    def offer_both(self, readable, writable, *, indirect_at=None):
        """Make a chain available whose first buffers the device reads and whose others it writes."""
        buffers = [*readable, *writable]
        table, numbers = None, [self.free.pop(0) for _ in buffers]
        head = numbers[0]
        self.chains[head] = numbers
        if indirect_at is not None:
            table, numbers = indirect_at, list(range(len(buffers)))
            self.describe(head, indirect_at, 16 * len(buffers), INDIRECT)
        for place, (number, (address, length)) in enumerate(zip(numbers, buffers, strict=True)):
            more = place + 1 < len(buffers)
            flags = (NEXT if more else 0) | (WRITE if place >= len(readable) else 0)
            self.describe(number, address, length, flags, numbers[place + 1] if more else 0, table)
        self.publish(head)
        return head

    def publish(self, head):
        """Put a number into the available ring, whatever it is."""
        struct.pack_into("<H", self.memory, self.available + 4 + 2 * (self.index % self.size), head)
        self.index = (self.index + 1) & 0xFFFF
        self.set_index(self.index)

    def set_index(self, index):
        struct.pack_into("<H", self.memory, self.available + 2, index)

    def collect(self):
        """What the device gave back since the last time: (head, bytes written)."""
        [index] = struct.unpack_from("<H", self.memory, self.used + 2)
        found = []
        while self.seen != index:
            at = self.used + 4 + 8 * (self.seen % self.size)
            head, written = struct.unpack_from("<II", self.memory, at)
            self.free += self.chains.pop(head)
            found.append((head, written))
            self.seen = (self.seen + 1) & 0xFFFF
        return found

    def start_at(self, index):
        """As if so many chains had gone through the ring already."""
        self.index = self.seen = index
        self.set_index(index)
        struct.pack_into("<H", self.memory, self.used + 2, index)

    # Suppression

    def want_call_after(self, index):
        struct.pack_into("<H", self.memory, self.available + 4 + 2 * self.size, index)

    def want_no_calls(self):
        struct.pack_into("<H", self.memory, self.available, 1)

    @property
    def kick_after(self):
        """The index of the available ring after which the device wants to be told."""
        return struct.unpack_from("<H", self.memory, self.used + 4 + 8 * self.size)[0]

    @property
    def wants_no_kick(self):
        return bool(struct.unpack_from("<H", self.memory, self.used)[0] & 1)


class Guest:
    """A machine's memory (of 1 MiB at 0) and one ring in it."""

    SIZE = 1 << 20

    def __init__(self, size=8, *, event_index=True, start=0, memory=None):
        self.memory = memoryview(bytearray(self.SIZE)) if memory is None else memory
        self.driver = Driver(self.memory, 0x1000, size, event_index=event_index)
        self.driver.start_at(start)
        regions = [Region(0, self.SIZE, USER, 0)]
        self.table = Memory(regions, [self.memory])
        self.fences = 0

    def fence(self):
        self.fences += 1

    def ring(self, *, writable=False, indirect=True, dirty=None):
        layout = self.driver.layout(writable, indirect=indirect)
        return Ring(layout, self.table, self.fence, dirty)

    def put(self, address, data):
        self.memory[address : address + len(data)] = data
        return address, len(data)

    def get(self, address, length):
        return bytes(self.memory[address : address + length])


@pytest.fixture
def guest():
    return Guest()


@pytest.fixture
def new_guest():
    return Guest


@pytest.fixture(scope="session")  # for property tests
def guest_class():
    return Guest


@pytest.fixture
def new_driver():
    return Driver


class Words:
    """Messages of a front-end, as bytes."""

    user = USER

    @staticmethod
    def request(number, payload=b"", *, flags=1):
        return HEADER.pack(number, flags, len(payload)) + payload

    @staticmethod
    def number(value):
        return struct.pack("<Q", value)

    @staticmethod
    def state(index, value):
        return struct.pack("<II", index, value)

    @staticmethod
    def table(*regions):
        return struct.pack("<II", len(regions), 0) + b"".join(
            _REGION.pack(*each) for each in regions
        )

    @staticmethod
    def addresses(index, driver, *, flags=0, log=0):
        return struct.pack(
            "<IIQQQQ", index, flags, USER + driver.table, USER + driver.used,
            USER + driver.available, log,
        )  # fmt: skip


@pytest.fixture
def words():
    return Words()


@pytest.fixture(scope="session")  # for property tests
def words_class():
    return Words
