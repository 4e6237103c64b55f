import errno
import os
import socket

import pytest

from sampan.base.poller import ERROR, READ
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.limit import Limits
from sampan.net.runtime.host import descriptor, udp
from sampan.net.runtime.host.udp import UdpSockets


@pytest.fixture
def peer():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        made.settimeout(60)
        yield made


@pytest.fixture
def remote(peer, host_address):
    return Endpoint(host_address, peer.getsockname()[1])


def test_question_and_answer(net, peer, remote):
    own = net.machine.udp(b"question", remote)
    data, address = peer.recvfrom(100)
    assert data == b"question"
    peer.sendto(b"answer", address)
    net.until(lambda: net.machine.datagrams)
    [came] = net.machine.datagrams
    assert (came.payload, came.source, came.destination) == (b"answer", remote, own)
    [flow] = net.engine.stack.udp_flows
    assert flow.context.delivered == 6
    assert flow.context.flow is flow


def test_a_pair_has_one_socket_which_closes_when_it_is_idle(net, peer, remote, descriptors):
    before = descriptors()
    for _ in range(3):
        net.machine.udp(b"x", remote, port=5000)
    assert descriptors() == before + 1
    net.advance(Limits().udp_idle_s + 1)
    net.settle()
    assert net.engine.stack.udp_flows == ()
    assert descriptors() == before


def test_empty_and_large_datagrams(net, peer, remote):
    net.machine.udp(b"", remote)
    data, address = peer.recvfrom(100)
    assert data == b""
    peer.sendto(b"", address)
    peer.sendto(bytes(1472), address)
    net.until(lambda: len(net.machine.datagrams) == 2)
    assert [len(each.payload) for each in net.machine.datagrams] == [0, 1472]


def test_many_answers_in_one_turn(net, peer, remote):
    net.machine.udp(b"all", remote)
    _, address = peer.recvfrom(100)
    for number in range(udp.READS + 10):
        peer.sendto(number.to_bytes(2, "big"), address)
    net.loop.run_once(0)
    net.loop.run_once(0)
    net.until(lambda: len(net.machine.datagrams) == udp.READS + 10)
    numbers = [int.from_bytes(each.payload, "big") for each in net.machine.datagrams]
    assert numbers == list(range(udp.READS + 10))


def test_nobody_else_s_datagrams_come_in(net, peer, remote):
    net.machine.udp(b"x", remote)
    _, address = peer.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"spoofed", address)
    net.settle()
    assert net.machine.datagrams == []


def test_nobody_listens(net, peer, remote):
    peer.close()
    net.machine.udp(b"x", remote, port=5000)
    net.until(lambda: net.machine.unreachable)
    assert net.machine.unreachable[0].code == 3
    before = len(net.machine.unreachable)
    for _ in range(3):
        net.machine.udp(b"x", remote, port=5000)
    net.until(lambda: len(net.machine.unreachable) > before)
    [flow] = net.engine.stack.udp_flows
    assert flow.context is not None


def test_an_error_of_before_does_not_cost_the_datagram_of_now(net, peer, remote):
    address = peer.getsockname()
    peer.close()
    net.machine.udp(b"lost", remote, port=5000)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as later:
        later.bind(address)
        later.settimeout(60)
        net.machine.udp(b"arrives", remote, port=5000)
        assert later.recv(100) == b"arrives"
    net.settle()
    assert net.machine.unreachable[0].code == 3


def test_errors_that_wait_are_taken_in_one_go(net, peer, remote):
    net.machine.udp(b"x", remote, port=5000)
    [flow] = net.engine.stack.udp_flows
    address = flow.context._socket.getsockname()
    assert peer.recvfrom(10)[1] == address
    peer.close()
    for _ in range(5):
        net.machine.udp(b"x", remote, port=5000)
    net.settle()
    assert {each.code for each in net.machine.unreachable} == {3}
    assert net.loop._poller.poll(0) == []  # nothing waits: the error queue is empty


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENETUNREACH, 0), (errno.EMFILE, 1), (errno.EACCES, 13)]
)
def test_there_is_no_way(net, remote, monkeypatch, number, code):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", fail)
        net.machine.udp(b"x", remote)
    net.settle()
    assert net.machine.unreachable[0].code == code


def test_beyond_the_bound_the_pair_unused_for_longest_falls_silent(net, peer, remote):
    net.outbound._udp = UdpSockets(net.loop, bound=2)
    net.machine.udp(b"1", remote, port=5001)
    net.machine.udp(b"2", remote, port=5002)
    net.machine.udp(b"1", remote, port=5001)
    net.machine.udp(b"3", remote, port=5003)
    assert sorted(flow.guest.port for flow in net.engine.stack.udp_flows) == [5001, 5003]
    assert len(net.outbound._udp) == 2
    net.machine.udp(b"2", remote, port=5002)
    assert [peer.recv(10) for _ in range(5)] == [b"1", b"2", b"1", b"3", b"2"]


def test_without_descriptors_the_oldest_gives_its_own(net, peer, remote, monkeypatch):
    net.machine.udp(b"1", remote, port=5001)
    real = socket.socket
    refused: list[object] = []

    def once(*arguments):
        if not refused:
            refused.append(arguments)
            raise OSError(errno.EMFILE, "none left")
        return real(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", once)
        net.machine.udp(b"2", remote, port=5002)
    assert [flow.guest.port for flow in net.engine.stack.udp_flows] == [5002]
    assert [peer.recv(10) for _ in range(2)] == [b"1", b"2"]


class Script:
    """A socket that answers as it is told."""

    def __init__(self, *answers):
        self.answers = list(answers)

    def fileno(self):
        return 0

    def send(self, data):
        return self._answer()

    def recv_into(self, buffer):
        return self._answer()

    def recvmsg(self, *_):
        return self._answer()

    def _answer(self):
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_what_the_host_does_not_take_now_is_lost(net, remote):
    net.machine.udp(b"x", remote, port=5000)
    [flow] = net.engine.stack.udp_flows
    real, flow.context._socket = flow.context._socket, Script(BlockingIOError())
    net.machine.udp(b"lost", remote, port=5000)
    assert flow.context._socket.answers == []
    assert net.machine.unreachable == []
    flow.context._socket = real


def test_a_path_with_a_smaller_mtu_is_the_host_s_business(net, remote):
    net.machine.udp(b"x", remote, port=5000)
    [flow] = net.engine.stack.udp_flows
    told = [(0, 11, errno.EMSGSIZE.to_bytes(4, "little") + bytes(12))]
    script = Script((b"", told, 0, None), BlockingIOError(), OSError(errno.EMSGSIZE, "too long"))
    real, flow.context._socket = flow.context._socket, script
    flow.context._ready(ERROR | READ)
    assert script.answers == []
    assert net.machine.unreachable == []
    flow.context._socket = real


def test_closing_gives_all_back(net, peer, remote, descriptors):
    before = descriptors()
    net.machine.udp(b"x", remote)
    net.machine.udp(b"x", remote)
    net.outbound.close()
    assert descriptors() == before


def test_connections_are_left_some_descriptors(net, peer, remote, monkeypatch):
    monkeypatch.setattr(descriptor, "share", lambda part: 1)
    net.machine.udp(b"1", remote, port=5001)
    net.machine.udp(b"2", remote, port=5002)
    assert [flow.guest.port for flow in net.engine.stack.udp_flows] == [5002]
