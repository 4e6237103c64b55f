"""Much data between the Linux kernel and the host, over good and bad links of every size."""

import hashlib
import random
import socket
import threading

import pytest

from sampan.net.link.fault import FaultInjector, Faults

pytestmark = pytest.mark.compat
HOST = "192.168.65.254"
MB = 1 << 20


class FaultyLink:
    """A link whose frames suffer in both directions, the same way in each run."""

    def __init__(self, link, faults):
        self._link = link
        numbers = random.Random(1)
        self._inward = FaultInjector(faults, numbers.random)
        self._outward = FaultInjector(faults, numbers.random)
        self._plug = None
        self.head = link.head

    def start(self, plug):
        self._plug = plug
        self._link.start(self)

    @property
    def loop(self):
        return self._plug.loop

    def received(self, frames):
        now = self.loop.now()
        come = [
            memoryview(bytearray(each))
            for one in frames
            for each in self._inward.frame(bytes(one), now)
        ]
        self._plug.received(come)
        self._wait(self._inward, lambda each: self._plug.received([memoryview(each)]))

    def send(self, frames):
        now = self.loop.now()
        joined = (b"".join(frame) for frame in frames)
        self._link.send([[each] for one in joined for each in self._outward.frame(one, now)])
        self._wait(self._outward, lambda each: self._link.send([[each]]))

    def _wait(self, injector, deliver):
        def late():
            for each in injector.timer_fired(self.loop.now()):
                deliver(each)

        when = injector.next_timer()
        if when is not None:
            self.loop.call_at(when, late)

    def lost(self, why):
        self._plug.lost(why)

    def close(self):
        self._link.close()


@pytest.fixture
def exchange(host_server, wait_until):
    """Sends data from a machine to the host and other data back at once; both must arrive."""

    def run(machine, size, host=HOST, inside="127.0.0.1"):
        up = hashlib.shake_256(b"up").digest(size)
        down = hashlib.shake_256(b"down").digest(size)
        got = {}

        def serve(connection):
            sender = threading.Thread(target=_say, args=(connection, down))
            sender.start()
            got["up"] = _digest(connection)
            sender.join()

        connection = machine.connect(host, host_server(serve, inside))
        with connection:
            sender = threading.Thread(target=_say, args=(connection, up))
            sender.start()
            got["down"] = _digest(connection)
            sender.join()
        wait_until(lambda: "up" in got, "end of what goes up")
        assert got == {"up": hashlib.sha256(up).digest(), "down": hashlib.sha256(down).digest()}

    return run


def _say(connection, data):
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def _digest(connection):
    found = hashlib.sha256()
    while data := connection.recv(1 << 18):
        found.update(data)
    return found.digest()


@pytest.mark.parametrize("offload", [True, False], ids=["offload", "plain"])
@pytest.mark.parametrize("mtu", [576, 1500, 9000, 65520])
def test_both_ways_at_once(new_network, exchange, mtu, offload):
    network = new_network(mtu=mtu)
    exchange(network.machine(offload=offload), 16 * MB if offload else 2 * MB)
    network.settled()


@pytest.mark.parametrize(
    ("faults", "size"),
    [
        (Faults(loss=0.01), 4 * MB),
        (Faults(loss=0.1), MB // 4),
        (Faults(duplicate=0.1), 4 * MB),
        (Faults(reorder=0.05, reorder_s=0.002), 4 * MB),
        (Faults(delay_s=0.005), 2 * MB),
        (Faults(delay_s=0.002, jitter_s=0.001), MB // 4),
        (Faults(loss=0.02, duplicate=0.02, reorder=0.02, delay_s=0.001), 2 * MB),
    ],
    ids=["loss-1", "loss-10", "duplicates", "reordered", "delayed", "jitter", "all"],
)
@pytest.mark.parametrize("offload", [True, False], ids=["offload", "plain"])
def test_a_bad_link_costs_time_and_nothing_else(new_network, exchange, faults, size, offload):
    network = new_network()
    machine = network.machine(offload=offload, wrap=lambda link: FaultyLink(link, faults))
    exchange(machine, size)
    network.settled()


def test_damaged_frames_are_noticed(new_network, exchange):
    """Without offload there are checksums."""
    network = new_network()
    machine = network.machine(
        offload=False, wrap=lambda link: FaultyLink(link, Faults(corrupt=0.02))
    )
    exchange(machine, MB)
    network.settled()


def test_a_machine_with_a_smaller_mtu_gets_smaller_segments(machine, exchange):
    machine.ip("link set tap0 mtu 700")
    exchange(machine, 4 * MB)


def test_a_machine_that_knows_no_options_is_served(machine, exchange):
    for name in ("tcp_sack", "tcp_window_scaling", "tcp_timestamps"):
        machine.run(["sysctl", "-qw", f"net.ipv4.{name}=0"])
    exchange(machine, 4 * MB)


@pytest.mark.parametrize("size", [0, 1, 1472, 1473, 8000, 65507])
def test_datagrams_of_every_size_come_whole(machine, size):
    data = hashlib.shake_256(b"datagram").digest(size)
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        with machine.socket(kind=socket.SOCK_DGRAM) as inside:
            inside.sendto(data, (HOST, server.getsockname()[1]))
            got, sender = server.recvfrom(65535)
            assert got == data
            server.sendto(got[::-1], sender)
            assert inside.recvfrom(65535) == (data[::-1], (HOST, server.getsockname()[1]))


def test_a_datagram_to_a_closed_port_is_refused(machine):
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        probe.connect(("127.0.0.1", 9))  # it hears nobody else, and nobody else gets the port
        with machine.socket(kind=socket.SOCK_DGRAM) as inside:
            inside.connect((HOST, probe.getsockname()[1]))
            inside.send(b"anybody?")
            with pytest.raises(ConnectionRefusedError):
                inside.recv(100)
