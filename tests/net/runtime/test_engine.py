import logging
from typing import get_args

import pytest

from sampan.net.core import event
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Reason
from sampan.net.runtime.engine import QUIET_S
from sampan.net.wire.ethernet import EtherType, Frame

WORLD = Endpoint(bytes([93, 184, 216, 34]), 80)
GATEWAY = bytes([192, 168, 65, 1])


class Noting:
    """An outbound that accepts everything, and a channel that notes what it is told."""

    def __init__(self, failing=()):
        self.told = []
        self.failing = failing
        self.flows = []

    def _note(self, name):
        self.told.append(name)
        if name in self.failing:
            raise ValueError(name)

    def flow_opened(self, flow, now):
        self.flows.append(flow)
        flow.context = self
        self._note("opened")
        flow.accept(now)

    def datagrams_received(self, flow, now):
        self.flows.append(flow)
        self._note(f"datagrams {len(flow.datagrams())}")

    def udp_closed(self, flow, now):
        self._note("udp closed")

    def echo_requested(self, request, now):
        self._note(f"echo {request.sequence}")

    def established(self, now):
        self._note("established")

    def readable(self, now):
        flow = self.flows[0]
        self._note("readable")
        flow.consumed(flow.pending)

    def writable(self, now):
        self._note("writable")

    def finished(self, now):
        self._note("finished")

    def gone(self, reason, now):
        self._note(f"gone {reason.name if reason else 'well'}")


@pytest.fixture
def noting(net):
    net.engine.outbound = Noting()
    return net.engine.outbound


def test_a_flow_s_channel_is_told_what_happens_to_it(net, noting):
    connection = net.machine.connect(WORLD)
    net.settle()
    assert connection.state == "open"
    assert noting.told == ["opened", "established"]
    connection.send(b"text").finish()
    net.settle()
    assert noting.told[2:] == ["readable", "finished"]
    noting.flows[0].finish(net.now())
    net.settle()
    assert noting.told[4:] == ["gone well"]
    assert noting.flows[0].context is None


def test_a_channel_hears_of_room_again(net, noting):
    connection = net.machine.connect(WORLD, window=100)
    net.settle()
    buffer = net.engine.stack.spare()
    flow = noting.flows[0]
    assert flow.room() == 100
    flow.send(buffer, 100, net.now())
    connection.window = 0
    assert flow.room() == 0
    net.settle()
    assert "writable" not in noting.told
    connection.open_window(1000)
    net.settle()
    assert noting.told[-1] == "writable"


def test_a_reset_ends_the_channel(net, noting):
    connection = net.machine.connect(WORLD)
    net.settle()
    connection.reset()
    net.settle()
    assert noting.told[-1] == "gone RESET"


def test_datagrams_and_pings_go_outbound(net, noting):
    net.machine.udp(b"text", WORLD)
    net.machine.ping(WORLD.address, sequence=7)
    net.settle()
    assert noting.told == ["datagrams 1", "echo 7"]
    net.advance(1000)
    assert noting.told[-1] == "udp closed"


def test_without_outbound_there_is_no_way(net):
    net.engine.outbound = None
    connection = net.machine.connect(WORLD)
    net.machine.udp(b"text", WORLD)
    net.machine.ping(WORLD.address)
    net.settle()
    assert connection.state == "opening"
    assert net.engine.stack.flows == ()
    [told] = net.machine.unreachable
    assert told.code == 0
    net.advance(1000)  # the UDP flow ends


def test_services_get_the_datagrams_for_their_port(net):
    seen = []
    net.engine.serve(53, lambda each, now: seen.append((each.payload, each.destination)))
    net.machine.udp(b"name?", Endpoint(GATEWAY, 53))
    net.machine.udp(b"nobody", Endpoint(GATEWAY, 123))
    net.settle()
    assert seen == [(b"name?", Endpoint(GATEWAY, 53))]


def test_observers_see_the_events_of_their_kind(net, noting):
    opened, learned = [], []
    net.engine.observe(event.FlowOpened, lambda each, now: opened.append(each.flow.remote))
    net.engine.observe(event.NeighbourLearned, lambda each, now: learned.append(each.address))
    net.machine.connect(WORLD)
    net.settle()
    assert opened == [WORLD]
    assert learned == [net.machine.ip]


@pytest.mark.parametrize("failing", ["opened", "established", "readable"])
def test_a_channel_that_raises_costs_its_flow(net, failing, caplog):
    net.engine.outbound = Noting([failing, "gone GONE"])  # and goes on raising
    connection = net.machine.connect(WORLD)
    net.settle()
    connection.send(b"text")
    with caplog.at_level(logging.ERROR, "sampan"):
        net.settle()
    assert connection.state in ("reset", "opening")
    assert net.engine.stack.flows == ()
    assert net.engine.outbound.told[-1] == "gone GONE"


def test_an_outbound_that_raises_costs_its_udp_flow(net, caplog):
    outbound = net.engine.outbound = Noting(["datagrams 1"])
    net.machine.udp(b"text", WORLD)
    with caplog.at_level(logging.ERROR, "sampan"):
        net.settle()
    assert net.engine.stack.udp_flows == ()
    assert outbound.told[-1] == "udp closed"  # whatever it held goes back


def test_a_service_that_raises_costs_its_datagram(net, caplog):
    net.engine.serve(53, lambda each, now: 1 / 0)
    with caplog.at_level(logging.ERROR, "sampan"):
        net.machine.udp(b"name?", Endpoint(GATEWAY, 53))
    assert "ServiceDatagram could not be acted upon" in caplog.text


def test_a_frame_that_the_stack_cannot_bear_costs_its_batch(net, noting, caplog, monkeypatch):
    def fail(port, frames, now):
        raise ValueError("ours")

    with monkeypatch.context() as patched, caplog.at_level(logging.ERROR, "sampan"):
        patched.setattr(type(net.engine.stack), "frames_received", lambda *_: fail(*_[1:]))
        net.machine.frame(Frame(bytes(6), bytes(6), EtherType.ARP, b""))
    assert "frames of port 1 are lost" in caplog.text
    assert net.machine.connect(WORLD).state == "opening"
    net.settle()
    assert noting.told


def test_an_unplugged_link_ends_its_flows(net, noting):
    lost = []
    net.machine.connect(WORLD)
    net.machine.udp(b"text", WORLD)
    net.settle()
    plug = net.machine.plug
    plug.when_lost = lambda: lost.append(plug.name)
    plug.lost("the peer hung up")
    plug.lost("again")
    net.settle()
    assert lost == [plug.name]
    assert noting.told[-2:] == [f"gone {Reason.GONE.name}", "udp closed"]
    assert net.engine.plugs == {}


def test_a_link_that_cannot_start_is_not_plugged_in(net):
    class Broken:
        head = 0
        closed = False

        def start(self, plug):
            raise OSError("no such device")

        def close(self):
            self.closed = True

    link = Broken()
    with pytest.raises(OSError, match="no such device"):
        net.engine.plug(link, name="broken")
    assert link.closed
    assert len(net.engine.plugs) == 1


def test_closing_ends_all_flows(net, noting):
    net.machine.connect(WORLD)
    net.settle()
    net.engine.close()
    assert net.engine.stack.flows == ()
    assert noting.told[-1] == "gone GONE"


def test_a_flow_that_died_before_it_was_told_of_is_not_offered(net, noting):
    connection = net.machine.connect(WORLD)
    assert connection.state == "opening"
    noting.told.clear()
    flow = noting.flows[0]
    flow.abort(net.now())
    net.engine._opened(event.FlowOpened(flow), net.now())
    assert noting.told == []


def test_when_all_is_quiet_memory_is_given_back(net, noting, monkeypatch):
    trims: list[object] = []

    def trim(stack):
        trims.append(stack)

    monkeypatch.setattr(type(net.engine.stack), "trim", trim)
    net.machine.udp(b"x", WORLD)
    net.advance(QUIET_S / 2)
    net.machine.udp(b"x", WORLD)
    net.advance(QUIET_S / 2)
    net.settle()
    assert trims == []
    net.advance(QUIET_S / 2)
    assert len(trims) == 1
    net.advance(QUIET_S)
    assert len(trims) == 1
    net.machine.udp(b"x", WORLD)
    net.advance(QUIET_S)
    assert len(trims) == 2


def test_every_event_is_known(net):
    assert set(net.engine._handlers) == set(get_args(event.Event))
