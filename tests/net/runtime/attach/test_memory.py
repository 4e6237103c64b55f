import threading

import pytest

from sampan.base.loop import Loop
from sampan.net.core.network import Network
from sampan.net.runtime.attach.memory import BATCH, MAX_QUEUED, MemoryLink
from sampan.net.runtime.engine import Engine
from sampan.net.wire import address
from sampan.net.wire.arp import Arp, Operation
from sampan.net.wire.ethernet import EtherType, Frame

MAC = bytes.fromhex("020000000001")


def question():
    target = bytes([192, 168, 65, 1])
    packet = Arp(Operation.REQUEST, MAC, bytes([192, 168, 65, 3]), bytes(6), target)
    return Frame(address.BROADCAST_MAC, MAC, EtherType.ARP, packet.emit()).emit()


@pytest.fixture
def engine():
    loop = Loop()
    made = Engine(loop, Network(prefix6=b""))
    yield made
    made.close()
    loop.close()


@pytest.mark.parametrize("head", [0, 10, 12])
def test_frames_in_and_out(engine, head):
    came: list[bytes] = []
    link = MemoryLink(came.extend, head=head)
    link.give(bytes(head) + question())  # even before it is plugged in
    engine.plug(link, name="memory")
    engine.loop.run_once(None)
    [answer] = came
    assert answer[:head] == bytes(head)
    assert Arp.parse(Frame.parse(answer[head:]).payload).operation == Operation.REPLY


def test_frames_may_come_from_any_thread(engine):
    came, everything = [], threading.Event()

    def peer(frames):
        came.extend(frames)
        if len(came) == 4 * BATCH:
            everything.set()

    link = MemoryLink(peer)
    engine.plug(link, name="memory")
    running = threading.Thread(target=engine.loop.run)
    running.start()

    def send():
        for _ in range(BATCH):
            link.give(question())

    senders = [threading.Thread(target=send) for _ in range(4)]
    for each in senders:
        each.start()
    assert everything.wait(60)
    engine.loop.stop()
    for each in (*senders, running):
        each.join()


def test_a_turn_takes_a_bounded_batch(engine):
    plug = engine.plug(link := MemoryLink(lambda _: None), name="memory")
    link.give(*[question()] * (BATCH + 1))
    engine.loop.run_once(0)
    assert plug.port.frames_in == BATCH
    engine.loop.run_once(0)
    assert plug.port.frames_in == BATCH + 1


def test_the_queue_is_bounded():
    link = MemoryLink(lambda _: None)
    link.give(*[b"frame"] * (MAX_QUEUED + 3))
    assert link.lost == 3


def test_after_the_end_frames_go_nowhere(engine):
    plug = engine.plug(link := MemoryLink(lambda _: None), name="memory")
    link.give(question())
    engine.unplug(plug)
    link.give(question())
    engine.loop.run_once(0)
    assert plug.port.frames_in == 0
    engine.plug(other := MemoryLink(lambda _: None), name="memory")
    engine.loop.close()
    other.give(question())
