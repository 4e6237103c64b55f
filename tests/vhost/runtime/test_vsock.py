"""A vsock device, from a driver's rings to sockets of the host and back."""

import socket

import pytest

from sampan.base import loop as base_loop
from sampan.vhost.core.feature import Virtio
from sampan.vhost.core.message import Request
from sampan.vhost.core.vsock import LARGE, REQUEST_S
from sampan.vhost.core.vsock_connection import Connection
from sampan.vhost.core.vsock_packet import HEADER, HEADER_LENGTH, Op, Packet, Shut
from sampan.vhost.runtime.backend import Backend
from sampan.vhost.runtime.vsock import VsockDevice

FEATURES = int(Virtio.VERSION_1 | Virtio.EVENT_INDEX | Virtio.INDIRECT | Virtio.PROTOCOL_FEATURES)
CID, PORT = 3, 2374
RECEIVE, TRANSMIT = 0, 1
SIZE = 64  # of the rings
ROOM = 4096 + HEADER_LENGTH


class Loop(base_loop.Loop):
    """Turns until nothing is left to do; its clock stands still."""

    def __init__(self):
        super().__init__()
        self.clock = 100.0
        self.now = lambda: self.clock

    def run_dry(self):
        for _ in range(100):
            self.run_once(0)


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


class Driver:
    """What a guest's driver does: leaves buffers, sends packets, reads what came."""

    def __init__(self, front):
        self.front = front
        self.tx = 0
        self.rooms = {}

    def start(self, rooms=32):
        self.front.start(FEATURES)
        self.leave(rooms)

    def leave(self, count):
        driver = self.front.drivers[RECEIVE]
        for _ in range(count):
            at = 0x10000 + 0x1100 * (driver.index % SIZE)
            self.rooms[driver.offer([(at, ROOM)], flags=2)] = at
        self.front.kick(RECEIVE)

    def send(self, op, ports, data=b"", flags=0, allocated=1 << 20, forwarded=0, kick=True):
        guest, at = self.front.guest, 0x80000 + 0x1000 * (self.tx % SIZE)
        self.tx += 1
        packet = Packet(CID, 2, ports[0], ports[1], len(data), 1, op, flags, allocated, forwarded)
        chain = [guest.put(at, packet.emit())]
        if data:
            chain.append(guest.put(at + 64, data))
        self.front.drivers[TRANSMIT].offer(chain)
        if kick:
            self.front.kick(TRANSMIT)

    def got(self):
        """Packets, with their data, that came since the last time."""
        self.front.loop.run_dry()
        self.front.drivers[TRANSMIT].collect()
        found = []
        for head, written in self.front.drivers[RECEIVE].collect():
            whole = self.front.guest.get(self.rooms[head], written)
            packet = Packet._make(HEADER.unpack_from(whole))
            assert packet.length == written - HEADER_LENGTH
            found.append((packet, whole[HEADER_LENGTH:]))
        return found

    def ops(self):
        return [Op(packet.op) for packet, _ in self.got()]


@pytest.fixture
def served():
    """What the guest may connect to: port → a socket."""
    return {}


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.settimeout(60)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def device(loop, served, pair):
    del pair  # the device closes its end first
    device = VsockDevice(loop, CID, lambda port: served.pop(port, None))
    yield device
    device.close()


@pytest.fixture
def ends():
    return []


@pytest.fixture
def front(loop, device, ends, new_front_end):
    ours, theirs = socket.socketpair()
    backend = Backend(loop, ours, device, ends.append)
    yield new_front_end(theirs, size=SIZE)
    backend.close()


@pytest.fixture
def driver(front):
    return Driver(front)


@pytest.fixture
def opened(driver, device, pair):
    """A connection that the host began: the ports as the guest says them, and its socket."""
    driver.start()
    told = list[Connection]()
    device.connect(PORT, pair[0], told.append)
    [(request, _)] = driver.got()
    ports = (PORT, request.source_port)
    driver.send(Op.RESPONSE, ports)
    assert [each.host_port for each in told] == [request.source_port]
    return ports, pair[1]


def make_narrow(device):
    """As if the kernel gave the socket hardly any room."""
    [end] = device._ends.values()
    end.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)


def test_the_guest_is_told_its_address(front, words):
    front.say(Request.GET_CONFIG, words.state(0, 8) + bytes(4) + bytes(8))
    answer = front.socket.recv(100)
    assert answer[-8:] == CID.to_bytes(8, "little")


class TestOpening:
    def test_the_host_is_refused(self, driver, device, pair):
        driver.start()
        told = list[object]()
        device.connect(PORT, pair[0], told.append)
        [(request, _)] = driver.got()
        driver.send(Op.RST, (PORT, request.source_port))
        assert told == [None]
        assert pair[1].recv(1) == b""
        assert len(device) == 0

    def test_the_host_waits_for_a_driver(self, driver, device, pair, loop):
        told = list[object]()
        device.connect(PORT, pair[0], told.append)
        loop.run_dry()
        driver.start()
        assert driver.ops() == [Op.REQUEST]
        loop.clock += REQUEST_S
        loop.run_dry()
        assert told == [None]
        assert driver.ops() == [Op.RST]

    def test_the_guest_connects(self, driver, served, pair, device):
        driver.start()
        pair[1].sendall(b"first words")
        served[80] = pair[0]
        driver.send(Op.REQUEST, (1024, 80))
        (answer, _), (said, data) = driver.got()
        assert (answer.op, said.op, data) == (Op.RESPONSE, Op.RW, b"first words")
        assert len(device) == 1

    def test_the_guest_is_refused(self, driver, device):
        driver.start()
        driver.send(Op.REQUEST, (1024, 80))
        assert driver.ops() == [Op.RST]
        assert len(device) == 0

    def test_too_many(self, driver, device, pair, monkeypatch):
        monkeypatch.setattr(device._switchboard, "limit", 0)
        told = list[object]()
        device.connect(PORT, pair[0], told.append)
        assert told == [None]


class TestData:
    def test_to_the_host(self, driver, opened):
        ports, theirs = opened
        driver.send(Op.RW, ports, b"one ", kick=False)
        driver.send(Op.RW, ports, b"two ", kick=False)
        driver.send(Op.RW, ports, b"three")
        assert theirs.recv(100) == b"one two three"
        assert len(driver.front.drivers[TRANSMIT].collect()) == 1 + 3

    def test_to_the_guest_in_as_many_packets_as_it_takes(self, driver, opened):
        _, theirs = opened
        data = bytes(number % 251 for number in range(50_000))
        theirs.sendall(data)
        found = driver.got()
        assert b"".join(part for _, part in found) == data
        assert all(packet.op == Op.RW for packet, _ in found)

    def test_no_more_than_the_guest_has_credit_for(self, driver, opened):
        ports, theirs = opened
        driver.send(Op.CREDIT_UPDATE, ports, allocated=5000)
        theirs.sendall(bytes(9000))
        assert sum(packet.length for packet, _ in driver.got()) == 5000
        driver.send(Op.CREDIT_UPDATE, ports, allocated=5000, forwarded=4500)
        assert sum(packet.length for packet, _ in driver.got()) == 4000

    def test_no_more_than_the_guest_has_buffers_for(self, driver, opened):
        _, theirs = opened
        sent, data = 0, bytes(1 << 20)
        theirs.settimeout(0)
        while True:
            try:
                sent += theirs.send(data[sent:])
            except BlockingIOError:
                break
        found = sum(packet.length for packet, _ in driver.got())
        assert 0 < found < sent
        while found < sent:
            driver.leave(20)
            found += sum(packet.length for packet, _ in driver.got())
        assert found == sent

    def test_control_goes_before_data(self, driver, opened):
        ports, theirs = opened
        theirs.sendall(bytes(200_000))
        driver.send(Op.CREDIT_REQUEST, ports)
        assert driver.ops().count(Op.RW) == 30  # of 32, the request had one
        driver.send(Op.CREDIT_REQUEST, ports)
        driver.leave(2)
        assert driver.ops() == [Op.CREDIT_UPDATE, Op.RW]

    def test_a_program_that_is_slow(self, driver, opened, loop, device):
        """It gets all, in order; the guest hears of room only when there is some."""
        ports, theirs = opened
        make_narrow(device)
        chunk, sent = bytes(range(256)) * 12, 0
        while sent + len(chunk) <= LARGE:
            driver.send(Op.RW, ports, chunk)
            driver.front.drivers[TRANSMIT].collect()
            sent += len(chunk)
        updates = [packet.forwarded for packet, _ in driver.got()]
        assert all(forwarded < sent for forwarded in updates)
        got = b""
        while len(got) < sent:
            got += theirs.recv(1 << 20)
            loop.run_dry()
        assert got == chunk * (sent // len(chunk))
        assert driver.got()[-1][0].forwarded > sent - LARGE // 4

    def test_a_guest_that_sends_more_than_there_is_room_for(self, driver, opened, device):
        ports, theirs = opened
        device._switchboard._table[ports].inflow.buffer = 10
        driver.send(Op.RW, ports, b"0123456789A")
        assert driver.ops() == [Op.RST]
        assert theirs.recv(1) == b""

    def test_the_driver_is_told_of_what_it_sent_now_and_then(self, driver, opened, loop):
        ports, _ = opened
        driver.front.was_called(TRANSMIT)
        driver.send(Op.RW, ports, b"x")
        assert driver.front.was_called(TRANSMIT) == 0
        loop.clock += 1
        loop.run_dry()
        assert driver.front.was_called(TRANSMIT) == 1
        transmit = driver.front.drivers[TRANSMIT]
        transmit.collect()
        transmit.want_call_after(transmit.seen)
        for _ in range(SIZE // 4):
            driver.send(Op.RW, ports, b"x")
        assert driver.front.was_called(TRANSMIT) == 1


class TestClosing:
    def test_the_guest_has_said_all(self, driver, opened):
        ports, theirs = opened
        driver.send(Op.RW, ports, b"last", kick=False)
        driver.send(Op.SHUTDOWN, ports, flags=Shut.SEND)
        assert (theirs.recv(10), theirs.recv(10)) == (b"last", b"")
        theirs.sendall(b"answer")
        assert [data for _, data in driver.got()] == [b"answer"]

    def test_the_host_has_said_all(self, driver, opened):
        ports, theirs = opened
        theirs.sendall(b"last")
        theirs.shutdown(socket.SHUT_WR)
        (_, data), (shutdown, _) = driver.got()
        assert data == b"last"
        assert (shutdown.op, shutdown.flags) == (Op.SHUTDOWN, Shut.SEND)
        driver.send(Op.RW, ports, b"answer")
        assert theirs.recv(10) == b"answer"
        theirs.close()
        [(shutdown, _)] = driver.got()
        assert shutdown.flags == Shut.BOTH

    def test_the_guest_closes_and_a_slow_program_still_gets_all(self, driver, opened, device, loop):
        ports, theirs = opened
        make_narrow(device)
        for _ in range(200):
            driver.send(Op.RW, ports, bytes(3000))
            driver.front.drivers[TRANSMIT].collect()
        driver.send(Op.SHUTDOWN, ports, flags=Shut.BOTH)
        assert driver.ops()[-1] == Op.RST
        assert len(device) == 1
        size = 0
        while data := theirs.recv(1 << 16):
            size += len(data)
            loop.run_dry()
        assert size == 600_000
        assert len(device) == 0

    def test_a_program_that_goes_before_it_has_all(self, driver, opened, device, loop):
        ports, theirs = opened
        make_narrow(device)
        for _ in range(200):
            driver.send(Op.RW, ports, bytes(3000))
            driver.front.drivers[TRANSMIT].collect()
        driver.send(Op.SHUTDOWN, ports, flags=Shut.BOTH)
        theirs.close()
        loop.run_dry()
        assert len(device) == 0

    @pytest.mark.parametrize("leaves_unread", [False, True])
    def test_the_host_closes(self, driver, opened, device, leaves_unread):
        ports, theirs = opened
        if leaves_unread:
            driver.send(Op.RW, ports, b"x")
        theirs.sendall(b"last")
        theirs.close()
        (_, data), (shutdown, _) = driver.got()
        assert (data, shutdown.flags) == (b"last", Shut.BOTH)
        driver.send(Op.RST, ports)
        assert len(device) == 0

    def test_the_host_listens_no_more(self, driver, opened):
        ports, theirs = opened
        theirs.shutdown(socket.SHUT_RD)
        driver.send(Op.RW, ports, b"x")
        [(shutdown, _)] = driver.got()
        assert (shutdown.op, shutdown.flags) == (Op.SHUTDOWN, Shut.RECEIVE)
        theirs.sendall(b"still there")
        assert [data for _, data in driver.got()] == [b"still there"]

    def test_the_guest_listens_no_more(self, driver, opened, loop):
        ports, theirs = opened
        driver.send(Op.SHUTDOWN, ports, flags=Shut.RECEIVE)
        with pytest.raises(BrokenPipeError):
            theirs.sendall(b"x")
        theirs.close()
        [(shutdown, _)] = driver.got()
        assert shutdown.flags == Shut.BOTH

    def test_the_guest_breaks_it_off(self, driver, opened, device):
        ports, theirs = opened
        driver.send(Op.RST, ports)
        assert theirs.recv(1) == b""
        assert len(device) == 0


class TestRings:
    def stop(self, front, words):
        for index in range(2):
            front.say(Request.GET_VRING_BASE, words.state(index, 0))
            front.answer()

    def test_a_paused_machine_keeps_its_connections(self, front, driver, opened, words):
        ports, theirs = opened
        self.stop(front, words)
        theirs.sendall(b"in the meantime")
        driver.got()
        front.start(FEATURES)
        assert [data for _, data in driver.got()] == [b"in the meantime"]
        driver.send(Op.RW, ports, b"here I am")
        assert theirs.recv(100) == b"here I am"

    def test_a_machine_that_started_anew_has_none(self, front, driver, opened, words, device):
        _, theirs = opened
        self.stop(front, words)
        for each in front.drivers:
            each.start_at(0)
        front.start(FEATURES)
        assert theirs.recv(1) == b""
        assert len(device) == 0

    def test_memory_may_change(self, front, opened, driver):
        _, theirs = opened
        front.share_memory()
        theirs.sendall(b"x")
        assert [data for _, data in driver.got()] == [b"x"]

    def test_a_disabled_ring_does_nothing(self, front, driver, opened, words):
        ports, theirs = opened
        for index in range(2):
            front.say(Request.SET_VRING_ENABLE, words.state(index, 0))
        theirs.sendall(b"x")
        theirs.settimeout(0)
        driver.send(Op.RW, ports, b"y")
        assert driver.got() == []
        with pytest.raises(BlockingIOError):
            theirs.recv(1)
        for index in range(2):
            front.say(Request.SET_VRING_ENABLE, words.state(index, 1))
        assert [data for _, data in driver.got()] == [b"x"]
        assert theirs.recv(1) == b"y"

    def test_a_lot_comes_in_batches(self, front, driver, served, device):
        driver.start()
        for _ in range(20):
            for _ in range(SIZE // 2):
                driver.send(Op.RW, (1, 1), kick=False)
            front.kick(TRANSMIT)
            front.drivers[TRANSMIT].collect()
        assert device._switchboard.has_control  # refusals wait for buffers
        heard = len(driver.got())
        while device._switchboard.has_control:
            driver.leave(32)
            heard += len(driver.got())
        assert heard == 640

    def test_a_driver_that_leaves_no_buffers_is_not_read_on(self, front, driver, device):
        device._switchboard.limit = -250
        driver.start(rooms=0)
        for _ in range(10):
            driver.send(Op.RW, (1, 1))
        assert len(front.drivers[TRANSMIT].collect()) < 10
        heard = 0
        while heard < 10:
            driver.leave(1)
            heard += len(driver.got())
        assert len(front.drivers[TRANSMIT].collect()) == 0

    @pytest.mark.parametrize("index", [RECEIVE, TRANSMIT])
    def test_a_driver_that_cheats(self, front, driver, opened, ends, loop, index):
        _, theirs = opened
        front.drivers[index].set_index(500)
        theirs.sendall(bytes(33 * 4096))  # more than the buffers that were taken in advance
        front.kick(index)
        loop.run_dry()
        assert ends == [f"more buffers available than a ring of {SIZE} has"]


def test_when_the_device_closes_so_do_its_connections(opened, device):
    device.close()
    assert opened[1].recv(1) == b""
