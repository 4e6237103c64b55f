import random

import pytest

from sampan.net.link.fault import FaultInjector, Faults
from sampan.net.link.pcapng import Direction
from sampan.net.link.rate import RateLimit
from sampan.net.runtime.attach.memory import MemoryLink
from sampan.net.runtime.attach.wrapped import Wrapped


class Machine:
    """A memory link's other end, and the link with something around it."""

    def __init__(self, engine, head=0, **around):
        self.engine = engine
        self.came: list[bytes] = []
        self.memory = MemoryLink(self.came.extend, head=head)
        self.link = Wrapped(self.memory, **around)
        self.plug = engine.plug(self.link, name="vm")

    def say(self, *frames):
        self.memory.give(*frames)
        for _ in range(3):
            self.engine.loop.run_once(0)


def faults(**rates):
    return FaultInjector(Faults(**rates), random.Random(1).random)


@pytest.mark.parametrize("head", [0, 10])
def test_around_nothing_frames_pass(engine, question, is_answer, head):
    machine = Machine(engine, head)
    machine.say(bytes(head) + question)
    assert [is_answer(each[head:]) for each in machine.came] == [True]
    assert machine.link.head == head


@pytest.mark.parametrize("head", [0, 10])
def test_a_watcher_sees_what_the_machine_sends_and_gets(engine, question, is_answer, head):
    seen = []
    machine = Machine(engine, head, watch=lambda *each: seen.append((each[0], bytes(each[1]))))
    machine.say(bytes(head) + question)
    assert [each[0] for each in seen] == [Direction.OUT, Direction.IN]
    assert seen[0][1] == question
    assert is_answer(seen[1][1])
    machine.link.watch = None
    machine.say(bytes(head) + question)
    assert len(seen) == 2


def test_faults_of_both_directions(engine, question):
    machine = Machine(engine, inward=[faults(duplicate=1)], outward=[faults(duplicate=1)])
    machine.say(question)
    assert len(machine.came) == 4
    machine = Machine(engine, inward=[faults(loss=1)])
    machine.say(question)
    assert machine.came == []
    assert machine.plug.port.frames_in == 0


def test_the_watcher_stands_between_link_and_faults(engine, question):
    seen = []
    machine = Machine(
        engine, inward=[faults(loss=1)], watch=lambda direction, frame: seen.append(direction)
    )
    machine.say(question)
    assert seen == [Direction.OUT]


def test_what_is_held_back_comes_when_it_is_due(engine, question, clock):
    machine = Machine(engine, inward=[faults(delay_s=0.5)], outward=[faults(delay_s=0.25)])
    machine.say(question)
    assert machine.came == []
    clock.time += 0.5
    machine.say()
    assert machine.came == []
    clock.time += 0.25
    machine.say()
    assert len(machine.came) == 1


def test_an_earlier_time_moves_the_timer(engine, question, clock):
    late = faults(delay_s=5)
    machine = Machine(engine, inward=[late])
    machine.say(question)
    late.faults = Faults(delay_s=1)
    machine.say(question)
    clock.time += 1
    machine.say()
    assert len(machine.came) == 1
    clock.time += 4
    machine.say()
    assert len(machine.came) == 2


def test_transforms_one_behind_the_other(engine, question, clock):
    rate = RateLimit(len(question), burst_bytes=len(question))
    machine = Machine(engine, inward=[faults(duplicate=1, delay_s=1), rate])
    machine.say(question)
    clock.time += 1
    machine.say()
    assert len(machine.came) == 1
    clock.time += 1
    machine.say()
    assert len(machine.came) == 2


def test_what_waits_at_the_end_is_lost(engine, question, clock):
    machine = Machine(engine, inward=[faults(delay_s=1)], outward=[faults(delay_s=1)])
    machine.say(question)
    machine.link.send([(b"frame",)])
    engine.unplug(machine.plug)
    clock.time += 5
    machine.say()
    assert machine.came == []
    assert machine.plug.port.frames_in == 0


def test_a_link_that_ends_takes_what_is_around_it_along(engine):
    machine = Machine(engine)
    inner = machine.memory._plug
    assert inner.loop is engine.loop
    inner.lost("the peer hung up")
    assert engine.plugs == {}
    machine.link._come([b"late"])
    machine.link._go([b"late"])
