import os
import socket
import struct

import pytest

from sampan.net.runtime.host import ping
from sampan.net.wire import icmpv4
from sampan.net.wire.checksum import verifies

OUTSIDE = bytes([93, 184, 216, 34])
_ECHO = struct.Struct("!BBHHH")


class Kernel:
    """Stands for the kernel's sockets: `allowed` says of which kinds; sent echoes are kept."""

    def __init__(self, monkeypatch, *allowed):
        self.allowed = allowed
        self.sent, self.ends = [], []
        self.error = None
        self.real = socket.socket
        monkeypatch.setattr(socket, "socket", self.open)

    def open(self, family, kind, protocol, fileno=None):
        if fileno is not None:
            return self.real(family, kind, protocol, fileno)
        if kind & ~socket.SOCK_NONBLOCK not in self.allowed:
            raise PermissionError(1, "not permitted")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.setblocking(False)
        theirs.setblocking(False)
        self.ends.append(theirs)
        return Connected(self, ours)

    def echo(self):
        data = self.ends[-1].recv(1000)
        return (*_ECHO.unpack_from(data), data[_ECHO.size :], data)

    def answer(self, identifier, sequence, payload, kind=0, header=b""):
        self.ends[-1].send(header + _ECHO.pack(kind, 0, 0, identifier, sequence) + payload)

    def close(self):
        for each in self.ends:
            each.close()


class Connected:
    def __init__(self, kernel, end):
        self._kernel, self._end = kernel, end

    def connect(self, address):
        if self._kernel.error:
            raise self._kernel.error

    def __getattr__(self, name):
        return getattr(self._end, name)


@pytest.fixture
def make_kernel(monkeypatch):
    made = []

    def make(*allowed):
        made.append(Kernel(monkeypatch, *allowed))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def kernel(make_kernel):
    return make_kernel(socket.SOCK_DGRAM)


def replies(net):
    return [each for each in net.machine.unreachable if isinstance(each, icmpv4.Echo)]


def test_a_ping_goes_out_and_its_answer_back(net, kernel):
    net.machine.ping(OUTSIDE, identifier=9, sequence=3, payload=b"abc")
    kind, _, _, _, sequence, payload, _ = kernel.echo()
    assert (kind, sequence, payload) == (8, 3, b"abc")
    kernel.answer(1234, 3, b"abc")
    net.until(lambda: replies(net))
    assert replies(net) == [icmpv4.Echo(True, 9, 3, b"abc")]


def test_one_socket_for_each_program(net, kernel):
    for sequence in range(3):
        net.machine.ping(OUTSIDE, identifier=1, sequence=sequence)
    net.machine.ping(OUTSIDE, identifier=2)
    assert len(kernel.ends) == 2


def test_idle_sockets_are_closed(net, kernel, descriptors):
    before = descriptors()
    net.machine.ping(OUTSIDE, identifier=1)
    net.advance(ping.IDLE_S / 2)
    net.machine.ping(OUTSIDE, identifier=2)
    net.advance(ping.IDLE_S / 2)
    assert len(net.outbound._pinger._pings) == 1
    net.advance(ping.IDLE_S)
    assert len(net.outbound._pinger._pings) == 0
    kernel.close()
    assert descriptors() == before


def test_too_many_programs(net, kernel, monkeypatch):
    monkeypatch.setattr(ping, "MAX_SOCKETS", 2)
    for identifier in (1, 2, 1, 3):
        net.machine.ping(OUTSIDE, identifier=identifier)
    assert [key[1] for key in net.outbound._pinger._pings] == [1, 3]
    net.outbound.close()


def test_by_a_raw_socket_where_there_is_nothing_else(net, make_kernel):
    kernel = make_kernel(socket.SOCK_RAW)
    net.machine.ping(OUTSIDE, identifier=9, sequence=3, payload=b"abc")
    _, _, _, identifier, sequence, payload, whole = kernel.echo()
    assert (sequence, payload) == (3, b"abc")
    assert verifies(whole)
    header = bytes([0x45]) + bytes(19)
    kernel.answer(identifier % 0xFFFF + 1, 3, b"another program's", header=header)
    kernel.answer(identifier, 3, b"our own echo, seen", kind=8, header=header)
    kernel.answer(identifier, 3, b"abc", header=header)
    kernel.ends[-1].send(b"short")
    kernel.ends[-1].send(b"")
    net.until(lambda: replies(net))
    net.settle()
    assert replies(net) == [icmpv4.Echo(True, 9, 3, b"abc")]


def test_not_allowed_at_all(net, make_kernel):
    make_kernel()
    net.machine.ping(OUTSIDE)
    net.settle()
    assert net.machine.unreachable[0].code == 13


def test_no_way_there(net, kernel):
    kernel.error = OSError(101, "Network is unreachable")
    net.machine.ping(OUTSIDE)
    net.settle()
    assert net.machine.unreachable[0].code == 0
    assert net.outbound._pinger._pings == {}


def test_an_error_comes_back(net, kernel, monkeypatch):
    def broken(self, size):
        raise OSError(113, "No route to host")

    monkeypatch.setattr(Connected, "recv", broken, raising=False)
    net.machine.ping(OUTSIDE)
    kernel.answer(1, 1, b"")
    net.settle()
    assert net.machine.unreachable[0].code == 1
    monkeypatch.undo()


def test_a_full_socket_loses_pings(net, kernel):
    for sequence in range(600):
        net.machine.ping(OUTSIDE, sequence=sequence)
    assert replies(net) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root, or a group that may ping")
def test_the_real_kernel_answers(net, host_address):
    net.machine.ping(host_address, payload=b"by the stack itself")
    net.settle()
    assert replies(net) == [icmpv4.Echo(True, 1, 1, b"by the stack itself")]
    target = net.router.target(host_address)
    net.outbound.router = Everywhere(target)
    net.machine.ping(OUTSIDE, identifier=7, sequence=8, payload=b"by the host")
    net.until(lambda: len(replies(net)) == 2)
    assert replies(net)[1] == icmpv4.Echo(True, 7, 8, b"by the host")


class Everywhere:
    def __init__(self, target):
        self._target = target

    def target(self, address):
        return self._target
