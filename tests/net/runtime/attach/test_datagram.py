import socket

import pytest

from sampan.net.link.stream import VFKIT_HELLO
from sampan.net.runtime.attach.datagram import (
    BATCH,
    BATCHES,
    MAX_WAITING,
    DatagramLink,
    datagram_link,
)


@pytest.fixture
def paths(runtime_root):
    return runtime_root / "net", runtime_root / "vm"


@pytest.fixture
def machine(paths):
    """A bound socket that speaks to ours."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(paths[1]))
        made.settimeout(60)
        yield made


def test_the_first_to_speak_is_the_machine(engine, turns, paths, machine, question, is_answer):
    engine.plug(link := datagram_link(paths[0]), name="vm")
    link.send([(b"to nobody",)])
    assert link.lost == 1
    machine.connect(str(paths[0]))
    machine.send(VFKIT_HELLO)
    machine.send(question)
    turns()
    assert is_answer(machine.recv(100))
    [plug] = engine.plugs.values()
    assert plug.port.frames_in == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        with pytest.raises(PermissionError):
            other.sendto(question, str(paths[0]))
    engine.unplug(plug)
    assert not paths[0].exists()


def test_a_peer_that_is_named(engine, paths, machine):
    engine.plug(link := datagram_link(paths[0], paths[1]), name="vm")
    link.send([(b"fra", b"me")])
    assert machine.recv(100) == b"frame"


def test_a_peer_that_comes_later(engine, turns, paths, machine, question, is_answer):
    elsewhere = paths[1].with_name("later")
    engine.plug(datagram_link(paths[0], elsewhere), name="vm")
    machine.sendto(question, str(paths[0]))
    turns()
    assert is_answer(machine.recv(100))


def test_a_connected_pair(engine, turns, question, is_answer):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    theirs.settimeout(60)
    plug = engine.plug(DatagramLink(ours), name="vm")
    theirs.send(question)
    theirs.send(b"")
    turns()
    assert is_answer(theirs.recv(100))
    theirs.close()
    plug.link.send([(b"x",)])
    plug.link.send([(b"y",)])
    assert engine.plugs == {}


def test_a_turn_takes_a_bounded_number(engine, turns, monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    counts: list[int] = []
    link = DatagramLink(ours)
    engine.plug(link, name="vm")

    class Endless:
        def recv_into(self, buffer):
            return 60

        def __getattr__(self, name):
            return getattr(ours, name)

    monkeypatch.setattr(
        type(engine.stack), "frames_received", lambda _, port, frames, now: counts.append(len(frames))
    )  # fmt: skip
    link._socket = Endless()  # type: ignore[assignment]
    theirs.send(b"x")
    turns(1)
    assert counts == [BATCH] * BATCHES
    theirs.close()


def test_what_the_machine_does_not_take_waits_in_order_and_within_a_bound(engine, turns):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    theirs.settimeout(60)
    engine.plug(link := DatagramLink(ours), name="vm")
    total = 0
    while not link.lost:
        link.send([(number.to_bytes(4, "big"),) for number in range(total, total + 100)])
        total += 100
    assert len(link._waiting) == MAX_WAITING
    numbers: list[int] = []
    while len(numbers) < total - link.lost:
        numbers.append(int.from_bytes(theirs.recv(100), "big"))
        turns(1)
    assert numbers == list(range(total - link.lost))
    link.send([(b"after",)])
    assert theirs.recv(10) == b"after"
    theirs.close()


def test_a_machine_that_goes_while_frames_wait(engine, turns):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    engine.plug(link := DatagramLink(ours), name="vm")
    while not link.lost:
        link.send([(b"x",)] * 1000)
    theirs.close()
    turns()
    assert engine.plugs == {}
    link.close()
