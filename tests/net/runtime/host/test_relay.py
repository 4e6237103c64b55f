import socket
from contextlib import suppress

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Refusal
from sampan.net.runtime.host import relay as relay_module
from sampan.net.runtime.host.relay import Relay
from sampan.net.wire.error import MalformedError

REMOTE = Endpoint(bytes([93, 184, 216, 34]), 80)


class Upper:
    def received(self, data):
        return data.upper()

    def finished(self):
        return b"!"


class Bad:
    def __init__(self, error):
        self.error = error

    def received(self, data):
        raise self.error

    def finished(self):
        return b""


class Watcher:
    def __init__(self):
        self.seen = []

    def sent(self, data, now):
        self.seen.append(("sent", bytes(data)))

    def received(self, data, now):
        self.seen.append(("received", bytes(data)))

    def ended(self, reason, now):
        self.seen.append(("ended", reason))


@pytest.fixture
def begin(net):
    """Opens a connection of the machine; the relay it leads to, and the machine's side."""

    def go(*targets, window=65535, refusal=None, **fields):
        relays = []

        def detour(flow, target, now):
            relay = Relay(net.loop, net.engine.stack, flow, **fields)
            relay.refusal = refusal
            relays.append(relay)
            if targets:
                relay.connect(targets)
            return True

        net.outbound.gates.detour[:] = [detour]
        connection = net.machine.connect(REMOTE, window=window)
        net.until(lambda: relays)
        return relays[0], connection

    return go


def test_bytes_pass_both_ways(net, begin, server):
    relay, connection = begin(server.target)
    net.until(lambda: connection.state == "open")
    connection.send(b"question")
    server.until(lambda: server.data == b"question")
    server.peer.send(b"answer")
    net.until(lambda: connection.data == b"answer")
    connection.finish()
    server.until(lambda: server.is_ended)
    server.peer.send(b" and more")
    server.peer.shutdown(socket.SHUT_WR)
    net.until(lambda: connection.is_ended)
    assert connection.data == b"answer and more"
    net.until(lambda: relay.is_over)
    assert net.engine.stack.flows == ()


def test_transforms(net, begin, server):
    _, connection = begin(server.target, up=Upper(), down=Upper())
    connection.send(b"question").finish()
    server.until(lambda: server.is_ended)
    assert server.data == b"QUESTION!"
    server.peer.send(b"answer")
    server.peer.close()
    net.until(lambda: connection.is_ended)
    assert connection.data == b"ANSWER!"


def test_the_tap_sees_the_machines_side(net, begin, server):
    tap = Watcher()
    _, connection = begin(server.target, up=Upper(), down=Upper(), tap=tap)
    connection.send(b"up").finish()
    server.until(lambda: server.is_ended)
    server.peer.send(b"down")
    net.until(lambda: connection.data == b"DOWN")
    server.peer.close()
    net.until(lambda: tap.seen[-1][0] == "ended")
    assert tap.seen == [("sent", b"up"), ("received", b"DOWN"), ("received", b"!"), ("ended", None)]


def test_machine_is_refused_when_nobody_listens(net, begin, closed):
    over = []
    relay, connection = begin(closed, closed)
    relay.when_over = lambda: over.append(True)
    net.until(lambda: connection.state == "refused")
    assert relay.is_over
    assert over == [True]


def test_what_a_machine_is_told_can_be_decided(net, begin, closed):
    _, connection = begin(closed, refusal=Refusal.PROHIBITED)
    net.until(lambda: net.machine.unreachable)
    assert connection.state == "opening"


def test_next_target_is_tried(net, begin, closed, server):
    relay, connection = begin(closed, server.target)
    net.until(lambda: connection.state == "open")
    assert server.accepted()
    assert not relay.is_over


def test_machine_is_answered_before_there_is_a_host(net, begin, server):
    relay, connection = begin()
    relay.accept()
    net.until(lambda: connection.state == "open")
    connection.send(b"early").finish()
    net.settle()
    relay.connect([server.target])
    server.until(lambda: server.is_ended)
    assert server.data == b"early"


def test_failure_after_the_answer_is_a_reset(net, begin, closed):
    relay, connection = begin()
    relay.accept()
    net.until(lambda: connection.state == "open")
    relay.connect([closed])
    net.until(lambda: connection.state == "reset")


def test_elsewhere_instead(net, begin, make_server):
    first, second = make_server(), make_server()

    class Chooser:
        def received(self, data):
            relay.up = Upper()
            relay.connect([second.target])
            return data

        def finished(self):
            return b""

    relay, connection = begin(first.target, up=Chooser())
    connection.send(b"choose")
    first.until(lambda: first.is_ended)
    second.until(lambda: second.data == b"choose")
    connection.send(b" more")
    second.until(lambda: second.data == b"choose MORE")
    assert first.data == b""


def test_hold_and_release(net, begin, server):
    relay, connection = begin(server.target)
    net.until(lambda: connection.state == "open")
    relay.hold()
    connection.send(b"waits")
    net.settle()
    relay.send_up(b"first ")
    relay.send_down(b"meanwhile")
    net.until(lambda: connection.data == b"meanwhile")
    server.until(lambda: server.data == b"first ")
    relay.release()
    server.until(lambda: server.data == b"first waits")


def test_answer_of_our_own(net, begin, server):
    class Refuser:
        def received(self, data):
            relay.send_down(b"403")
            relay.finish()
            return b""

        def finished(self):
            return b""

    relay, connection = begin(server.target, up=Refuser())
    connection.send(b"GET")
    net.until(lambda: connection.is_ended)
    assert connection.data == b"403"
    server.until(lambda: server.is_ended)
    assert server.data == b""
    connection.send(b"ignored").finish()
    net.until(lambda: relay.is_over)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_nonsense_ends_the_connection(net, begin, server, direction):
    _, connection = begin(server.target, **{direction: Bad(MalformedError("nonsense"))})
    net.until(lambda: connection.state == "open")
    server.accepted().send(b"x")
    connection.send(b"x")
    net.until(lambda: connection.state == "reset")
    server.until(lambda: server.is_reset)


def test_a_fault_of_ours_costs_one_connection(net, begin, server, caplog):
    relay, connection = begin(server.target, up=Bad(RuntimeError("bug")))
    connection.send(b"x")
    net.until(lambda: connection.state == "reset")
    assert relay.is_over
    assert "bug" in caplog.text


def test_reset_by_the_machine(net, begin, server):
    relay, connection = begin(server.target)
    net.until(lambda: connection.state == "open")
    server.accepted()
    connection.reset()
    server.until(lambda: server.is_reset)
    assert relay.is_over
    relay.reset()
    relay.connect([server.target])
    assert relay.is_over


def test_reset_by_the_host(net, begin, server):
    _, connection = begin(server.target)
    net.until(lambda: connection.state == "open")
    linger = relay_module._LINGER_RESET
    server.accepted().setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    server.peer.close()
    net.until(lambda: connection.state == "reset")


def test_machine_waits_for_a_slow_host(net, begin, server):
    size = 16 << 20
    relay, connection = begin(server.target)
    net.until(lambda: connection.state == "open")
    server.accepted()
    connection.send(b"x" * size)
    for _ in range(500):
        net.loop.run_once(0.0)
    assert len(relay._to_host) < 2 * relay_module.MAX_WAITING
    assert len(connection.waiting) > size // 4
    assert net.engine.stack.held <= net.engine.stack.limits.receive_window
    server.until(lambda: len(server.data) == size)


def test_host_waits_for_a_slow_machine(net, begin, server):
    relay, connection = begin(server.target, window=1000)
    net.until(lambda: connection.state == "open")
    server.accepted()
    connection.window = 0
    sent, size = 0, 16 << 20
    with suppress(BlockingIOError):
        while sent < size:
            sent += server.peer.send(bytes(1 << 16))
            net.loop.run_once(0.0)
    assert sent < size
    assert len(relay._to_machine) < 2 * relay_module.MAX_WAITING
    server.peer.shutdown(socket.SHUT_WR)
    connection.open_window(65535)
    net.until(lambda: connection.is_ended)
    assert len(connection.data) == sent


def test_host_gets_what_waits_when_the_machine_is_done(net, begin, server):
    relay, connection = begin(server.target)
    net.until(lambda: connection.state == "open")
    server.accepted().shutdown(socket.SHUT_WR)
    net.until(lambda: connection.is_ended)
    size = 8 << 20
    connection.send(b"y" * size).finish()
    server.until(lambda: server.is_ended)
    assert len(server.data) == size
    net.until(lambda: relay.is_over)


def test_a_host_that_never_takes_it_is_left_in_the_end(net, begin, server):
    relay, connection = begin()
    relay.accept()
    net.until(lambda: connection.state == "open")
    relay.connect([server.target])
    server.accepted()
    relay._connected = True
    relay._to_host += bytes(32 << 20)
    relay.gone(None, net.now())
    net.settle()
    assert not relay.is_over
    net.advance(relay_module.LINGER_S + 1)
    assert relay.is_over
