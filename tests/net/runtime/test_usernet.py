"""A network in a thread of its own."""

import asyncio
import socket
import threading

import pytest

from sampan.base.loop import LoopClosedError
from sampan.errors import UsageError
from sampan.net.runtime.attach.memory import MemoryLink
from sampan.net.runtime.forward.binding import PortTakenError
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.services.forward import Forward
from sampan.net.setting import Settings
from sampan.net.wire import arp, ethernet
from sampan.net.wire.address import BROADCAST_MAC, parse_ip

MAC = b"\2\0\0\0\0\1"


@pytest.fixture
def network():
    with UserNetwork() as made:
        yield made


def test_it_answers_while_we_do_something_else(network):
    answered = threading.Event()
    frames = []

    def peer(sent):
        frames.extend(sent)
        if any(frame[12:14] == b"\x08\x06" for frame in sent):
            answered.set()

    link = MemoryLink(peer)
    network.plug(link, name="me")
    gateway, mine = parse_ip("192.168.65.1"), parse_ip("192.168.65.3")
    question = arp.Arp(arp.Operation.REQUEST, MAC, mine, bytes(6), gateway)
    kind = ethernet.EtherType.ARP
    link.give(ethernet.Frame(BROADCAST_MAC, MAC, kind, question.emit()).emit())
    assert answered.wait(60)


def test_forwards(network):
    forward = network.expose(Forward(guest_port=80))
    assert network.forwards() == (forward,)
    with socket.create_connection((forward.bind, forward.port)):
        pass
    assert network.unexpose(forward) == forward


def test_links_come_and_go(network):
    plug = network.plug(MemoryLink(lambda _: None), name="a")
    network.unplug(plug)
    assert network.call(lambda inner: inner.engine.plugs) == {}


def test_errors_come_back_to_who_called(network):
    with pytest.raises(ZeroDivisionError):
        network.call(lambda _: 1 / 0)
    assert network.call(lambda inner: network.call(lambda same: same is inner))


def test_for_asyncio(network):
    async def ask():
        return await asyncio.wrap_future(network.submit(lambda inner: inner.forwards()))

    assert asyncio.run(ask()) == ()


def test_closing_twice_is_closing(network):
    forward = network.expose(Forward(guest_port=80))
    network.close()
    network.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((forward.bind, forward.port))
    with pytest.raises(LoopClosedError):
        network.forwards()


def test_it_may_be_closed_from_its_own_thread(network):
    network.call(lambda _: network.close())
    network.close()
    with pytest.raises(LoopClosedError):
        network.forwards()


def test_what_listens_is_given_back_when_the_rest_cannot():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        socket.create_server(("127.0.0.1", 0)) as free,
    ):
        first = Forward(port=free.getsockname()[1], guest_port=80)
        free.close()
        with pytest.raises(PortTakenError) as caught:
            UserNetwork(
                Settings(forwards=(first, Forward(port=taken.getsockname()[1], guest_port=80)))
            )
        with socket.create_server(("127.0.0.1", first.port)):
            assert caught.value.owner is not None


def test_settings_that_make_no_sense():
    with pytest.raises(UsageError):
        UserNetwork(Settings(subnet="x"))


def test_who_waits_for_its_end_is_told():
    network, told = UserNetwork(), []
    network.when_over(lambda: told.append("then"))
    network.close()
    assert told == ["then"]
    network.when_over(lambda: told.append("at once"))
    assert told == ["then", "at once"]
