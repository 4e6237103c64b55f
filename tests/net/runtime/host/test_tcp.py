import errno
import os
import socket
import struct
from contextlib import suppress

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Reason
from sampan.net.core.limit import Limits
from sampan.net.runtime.host import descriptor, tcp
from sampan.net.wire import icmpv4

RESET = struct.pack("ii", 1, 0)


class Watcher:
    def __init__(self):
        self.sent_data, self.received_data = b"", b""
        self.reason: object = "none yet"

    def sent(self, data, now):
        self.sent_data += bytes(data)

    def received(self, data, now):
        self.received_data += bytes(data)

    def ended(self, reason, now):
        self.reason = reason


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(60)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 19)  # of those it accepts
        yield made


@pytest.fixture
def remote(listener, host_address):
    """Under which endpoint the machine reaches `listener`."""
    return Endpoint(host_address, listener.getsockname()[1])


@pytest.fixture
def join(net, listener, remote):
    """Makes a connection: the machine's end, and the host's."""
    made = []

    def go(**options):
        connection = net.machine.connect(remote, **options)
        net.until(lambda: connection.state == "open")
        made.append(listener.accept()[0])
        made[-1].settimeout(60)
        net.settle()
        return connection, made[-1]

    yield go
    for each in made:
        each.close()


def read(net, peer, size):
    """So many bytes from the host's end, with turns for the network in between."""
    data = bytearray()
    peer.setblocking(False)

    def take():
        with suppress(BlockingIOError):
            data.extend(peer.recv(1 << 20))
        return len(data) >= size

    net.until(take)
    return bytes(data)


def test_bytes_both_ways_and_both_finish(net, join, descriptors):
    before = descriptors()
    connection, peer = join()
    connection.send(b"question")
    net.settle()
    assert peer.recv(100) == b"question"
    peer.sendall(b"answer")
    net.until(lambda: connection.data == b"answer")
    connection.finish()
    net.settle()
    assert peer.recv(100) == b""
    peer.sendall(b" and more")
    peer.close()
    net.until(lambda: connection.is_ended)
    assert connection.data == b"answer and more"
    net.advance(10)
    assert net.engine.stack.flows == ()
    assert descriptors() == before


def test_the_host_finishes_first(net, join, descriptors):
    before = descriptors()
    connection, peer = join()
    peer.sendall(b"all I have")
    peer.shutdown(socket.SHUT_WR)
    net.until(lambda: connection.is_ended)
    connection.send(b"thanks").finish()
    net.settle()
    assert peer.recv(100) == b"thanks"
    assert peer.recv(100) == b""
    peer.close()
    net.advance(10)
    assert net.engine.stack.flows == ()
    assert descriptors() == before


def test_who_speaks_and_finishes_at_once(net, listener, remote):
    """The host's greeting and end are there before the machine has acknowledged."""
    connection = net.machine.connect(remote)
    peer, _ = listener.accept()
    peer.sendall(b"hello")
    peer.close()
    net.until(lambda: connection.is_ended)
    assert connection.data == b"hello"


def test_megabytes_both_ways(net, join):
    connection, peer = join()
    text = bytes(range(251)) * 8000
    peer.setblocking(False)
    sent = [0]
    heard = bytearray()

    def exchange():
        try:
            while sent[0] < len(text):
                sent[0] += peer.send(text[sent[0] : sent[0] + 100_000])
        except BlockingIOError:
            pass
        with suppress(BlockingIOError):
            heard.extend(peer.recv(1 << 20))
        return len(heard) == len(text) and len(connection.data) == len(text)

    connection.send(text)
    net.until(exchange)
    assert heard == text
    assert connection.data == text


def test_nobody_listens(net, remote, listener, descriptors):
    listener.close()
    before = descriptors()
    connection = net.machine.connect(remote)
    net.until(lambda: connection.state == "refused")
    net.settle()
    assert net.engine.stack.flows == ()
    assert descriptors() == before


def test_nobody_listens_at_the_first_address(net, listener, descriptors, host_address):
    port = listener.getsockname()[1]
    before = descriptors()
    other = (socket.AF_INET, ("127.0.0.1", port))

    def detour(flow, target, now):
        loop, stack, away = net.engine.loop, net.engine.stack, ("127.0.0.2", port)
        tcp.connect(loop, stack, flow, socket.AF_INET, away, instead=other)
        return True

    net.outbound.gates.detour.append(detour)
    connection = net.machine.connect(Endpoint(host_address, port))
    net.until(lambda: connection.state == "open")
    with listener.accept()[0] as accepted:
        assert accepted.getsockname() == ("127.0.0.1", port)
    connection.reset()
    net.until(lambda: descriptors() == before)


def test_nor_at_the_other(net, listener, remote, descriptors, host_address):
    listener.close()
    before = descriptors()
    other = (999, ("::1", remote.port))  # no family that there is

    def detour(flow, target, now):
        loop, stack, away = net.engine.loop, net.engine.stack, ("127.0.0.1", remote.port)
        tcp.connect(loop, stack, flow, socket.AF_INET, away, instead=other)
        return True

    net.outbound.gates.detour.append(detour)
    connection = net.machine.connect(remote)
    net.until(lambda: connection.state == "refused")
    assert descriptors() == before


class Scripted:
    """A connection that never gets anywhere by itself."""

    def __init__(self, monkeypatch, number):
        monkeypatch.setattr(tcp, "_begin", lambda *_: number)


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EHOSTUNREACH, 1), (errno.ENETUNREACH, 0), (errno.EACCES, 13), (errno.EAGAIN, 1)],
)
def test_the_host_knows_no_way(net, remote, monkeypatch, number, code):
    Scripted(monkeypatch, number)
    net.machine.connect(remote)
    net.until(lambda: net.machine.unreachable)
    [told] = net.machine.unreachable
    assert isinstance(told, icmpv4.DestinationUnreachable)
    assert told.code == code
    assert net.engine.stack.flows == ()


def test_a_connection_that_times_out_is_met_with_silence(net, remote, monkeypatch):
    Scripted(monkeypatch, errno.ETIMEDOUT)
    connection = net.machine.connect(remote)
    net.settle()
    assert (connection.state, net.machine.unreachable) == ("opening", [])
    assert net.engine.stack.flows == ()


@pytest.fixture
def unanswered(host_address):
    """A listener whose queue is full: who connects waits."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
            fillers.append(filler)
        yield Endpoint(host_address, full.getsockname()[1])
        for each in fillers:
            each.close()


def test_a_machine_that_gives_up_while_connecting(net, unanswered, descriptors):
    before = descriptors()
    connection = net.machine.connect(unanswered)
    net.settle()
    assert descriptors() == before + 1
    connection.reset()
    net.settle()
    assert net.engine.stack.flows == ()
    assert descriptors() == before


def test_a_host_that_never_answers(net, unanswered, descriptors):
    before = descriptors()
    connection = net.machine.connect(unanswered)
    net.settle()
    net.advance(Limits().offer_s + 1)
    net.settle()
    assert connection.state == "opening"
    assert net.engine.stack.flows == ()
    assert descriptors() == before


def test_an_unplugged_machine_while_connecting(net, unanswered, descriptors):
    before = descriptors()
    net.machine.connect(unanswered)
    net.settle()
    net.engine.unplug(net.machine.plug)
    net.settle()
    assert descriptors() == before


def test_the_machine_resets(net, join):
    connection, peer = join()
    connection.reset()
    net.settle()
    with pytest.raises(ConnectionResetError):
        peer.recv(1)


@pytest.mark.parametrize("busy", [False, True])
def test_the_host_resets(net, join, busy, descriptors):
    connection, peer = join()
    before = descriptors()
    if busy:
        connection.send(b"x" * 100)
        net.settle()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()
    net.until(lambda: connection.state == "reset")
    assert net.engine.stack.flows == ()
    assert descriptors() == before - 2  # the peer's, and ours


def test_the_host_resets_after_it_had_finished(net, join):
    connection, peer = join()
    peer.shutdown(socket.SHUT_WR)
    net.until(lambda: connection.is_ended)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()
    connection.send(b"to nobody")
    net.until(lambda: connection.state == "reset")


def test_the_host_resets_while_it_does_not_read(net, join):
    connection, peer = join()
    connection.send(bytes(6_000_000))
    net.until(lambda: connection.peer_window == 0)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()
    net.until(lambda: connection.state == "reset")
    assert net.engine.stack.held == 0


def test_a_host_that_does_not_read_closes_the_machine_s_window(net, join):
    connection, peer = join()
    text = bytes(range(256)) * 24_000
    connection.send(text)
    net.until(lambda: connection.peer_window == 0)
    waiting = len(connection.waiting)
    assert waiting > 0
    assert net.engine.stack.held <= Limits().receive_window
    net.settle()
    assert len(connection.waiting) == waiting
    assert read(net, peer, len(text)) == text
    assert net.engine.stack.held == 0


def test_a_machine_that_does_not_read_leaves_the_data_in_the_host_s_kernel(net, join):
    connection, peer = join(window=0)
    peer.setblocking(False)
    sent = 0
    with suppress(BlockingIOError):
        while True:
            sent += peer.send(bytes(65536))
            net.settle()
    assert connection.data == b""
    assert net.engine.stack.buffers_in_flight == 0
    connection.open_window(65535)
    net.until(lambda: len(connection.data) == sent)


def test_what_a_finished_machine_sent_still_reaches_a_slow_host(net, join, descriptors):
    before = descriptors()
    connection, peer = join()
    peer.shutdown(socket.SHUT_WR)
    net.until(lambda: connection.is_ended)
    text = bytes(range(256)) * 12_000
    connection.send(text).finish()
    data = bytearray()
    peer.setblocking(False)
    read_some = [False]

    def take_when_full():
        """Begin to read only when the machine has said all it had."""
        read_some[0] |= connection.peer_window == 0 or not connection.waiting
        if read_some[0]:
            with suppress(BlockingIOError):
                data.extend(peer.recv(50_000))
        return len(data) == len(text)

    net.until(take_when_full)
    assert data == text
    peer.settimeout(60)
    net.settle()
    assert peer.recv(1) == b""
    peer.close()
    net.advance(5)
    assert net.engine.stack.flows == ()
    assert net.engine.stack.held == 0
    assert descriptors() == before


def over_with_data_pending(net, join):
    """A flow that is over while the host has not taken what the machine sent."""
    connection, peer = join()
    peer.shutdown(socket.SHUT_WR)
    net.until(lambda: connection.is_ended)
    while not net.engine.stack.held:  # until the kernel is full, but the window is not
        connection.send(bytes(20_000))
        net.settle()
    connection.finish()
    net.settle()
    net.advance(3)
    assert net.engine.stack.flows == ()
    assert net.engine.stack.held > 0
    return peer


def test_a_host_that_never_takes_the_rest_is_given_up(net, join, descriptors):
    before = descriptors()
    peer = over_with_data_pending(net, join)
    net.advance(tcp.LINGER_S)
    net.settle()
    assert net.engine.stack.held == 0
    peer.close()
    assert descriptors() == before


def test_a_host_that_breaks_off_while_it_owes_the_rest(net, join, descriptors):
    before = descriptors()
    peer = over_with_data_pending(net, join)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    peer.close()
    net.until(lambda: net.engine.stack.held == 0)
    assert descriptors() == before


def test_no_descriptor_to_be_had(net, remote, monkeypatch):
    def none_left(*_):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with monkeypatch.context() as patched:
        patched.setattr(socket, "socket", none_left)
        net.machine.connect(remote)
    net.settle()
    [told] = net.machine.unreachable
    assert told.code == 1
    assert net.engine.stack.flows == ()


def test_to_a_unix_socket(net, runtime_root):
    path = str(runtime_root / "s")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(0)

        def detour(flow, target, now):
            tcp.connect(net.loop, net.engine.stack, flow, socket.AF_UNIX, path)
            return True

        net.outbound.gates.detour.append(detour)
        first, second = (
            net.machine.connect(Endpoint(bytes([93, 184, 216, 34]), 80)) for _ in range(2)
        )
        net.until(lambda: first.state == "open")
        peer, _ = listener.accept()
        first.send(b"text")
        net.settle()
        assert peer.recv(10) == b"text"
        peer.close()
        net.settle()
        assert second.state == "opening"  # there was room for one in the queue
        assert net.machine.unreachable[0].code == 1


def test_no_such_unix_socket(net, runtime_root):
    def detour(flow, target, now):
        path = str(runtime_root / ("s" * 200))
        tcp.connect(net.loop, net.engine.stack, flow, socket.AF_UNIX, path)
        return True

    net.outbound.gates.detour.append(detour)
    net.machine.connect(Endpoint(bytes([93, 184, 216, 34]), 80))
    net.settle()
    assert net.engine.stack.flows == ()


def test_a_watcher_sees_both_directions(net, join):
    watcher = Watcher()
    net.outbound.watch_flow = lambda flow: watcher
    connection, peer = join()
    connection.send(b"question").finish()
    net.settle()
    assert peer.recv(100) == b"question"
    peer.sendall(b"answer")
    peer.close()
    net.until(lambda: connection.is_ended)
    net.advance(5)
    assert (watcher.sent_data, watcher.received_data) == (b"question", b"answer")
    assert watcher.reason is None


def test_a_watcher_sees_no_more_than_the_host_took(net, join):
    watcher = Watcher()
    net.outbound.watch_flow = lambda flow: watcher
    connection, peer = join()
    text = bytes(range(256)) * 24_000
    connection.send(text)
    net.until(lambda: connection.peer_window == 0)
    assert len(watcher.sent_data) < len(text)
    assert read(net, peer, len(text)) == text
    assert watcher.sent_data == text
    connection.reset()
    net.settle()
    assert watcher.reason is Reason.RESET


def test_a_fault_of_ours_costs_the_flow(net, join, monkeypatch, caplog):
    connection, peer = join()
    monkeypatch.setattr(tcp.HostTcp, "_read", lambda *_: 1 / 0)
    peer.sendall(b"x")
    net.until(lambda: connection.state == "reset")
    assert "division by zero" in caplog.text
    assert net.engine.stack.flows == ()


def test_a_dead_connection_costs_no_time(net, join):
    """Both ends are shut but the machine's window is: nothing may turn the loop meanwhile."""
    connection, peer = join(window=0)
    peer.sendall(b"x" * 1000)
    net.settle()
    connection.finish()
    peer.close()
    net.settle()
    polls = []
    poll = net.loop._poller.poll

    class Counting:
        def __getattr__(self, name):
            return getattr(net_poller, name)

        def poll(self, timeout):
            polls.append(found := poll(timeout))
            return found

    net_poller = net.loop._poller
    net.loop._poller = Counting()
    net.settle()
    net.loop._poller = net_poller
    assert polls == [[]] * len(polls)


def test_the_last_descriptors_are_not_for_machines(net, remote, monkeypatch, descriptors):
    before = descriptors()
    monkeypatch.setattr(descriptor, "RESERVED", descriptor.share(1))
    net.machine.connect(remote)
    net.until(lambda: net.machine.unreachable)
    assert descriptors() == before
    assert net.engine.stack.flows == ()
