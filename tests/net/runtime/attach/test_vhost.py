"""Machines whose memory is shared, on a real engine. The driver is that of the tests of vhost."""

import importlib.util
import socket
from pathlib import Path

import pytest

from sampan.net.runtime.attach.vhost import VhostLink, listen_vhost
from sampan.net.wire.tcp import Flag, Segment
from sampan.net.wire.vnet import Flag as OffloadFlag
from sampan.net.wire.vnet import Offload, Segmentation
from sampan.vhost.core.feature import Net, Virtio
from sampan.vhost.runtime.net import FEATURES

TESTS = Path(__file__).parents[3]
PLAIN = int(Virtio.VERSION_1 | Virtio.EVENT_INDEX | Virtio.PROTOCOL_FEATURES | Net.MERGED_BUFFERS)
ALL = PLAIN | int(FEATURES)
HEADER = bytes(12)
RECEIVE, TRANSMIT = 0, 1


def _load(path):
    spec = importlib.util.spec_from_file_location("vhost_peer", TESTS / path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


rings = _load("vhost/conftest.py")
peers = _load("vhost/runtime/conftest.py")


class Turns:
    """The engine's loop, as the front-end of those tests turns it."""

    def __init__(self, turns):
        self.run_dry = turns


@pytest.fixture
def machine(turns):
    made = []

    def new(connection):
        made.append(peers.FrontEnd(Turns(turns), connection, rings.Guest, rings.Words(), size=64))
        return made[-1]

    yield new
    for each in made:
        each.close()


@pytest.fixture
def front(engine, machine):
    ours, theirs = socket.socketpair()
    engine.plug(VhostLink(ours), name="vhost")
    return machine(theirs)


def make_room(front, count=16):
    driver = front.drivers[RECEIVE]
    for _ in range(count):
        driver.offer([(0x10000 + 2048 * driver.free[0], 2048)], flags=2)


def received(front):
    """Frames that came in one buffer each, with their headers."""
    given = front.drivers[RECEIVE].collect()
    return [front.guest.get(0x10000 + 2048 * head, written) for head, written in given]


def transmit(front, frame):
    front.drivers[TRANSMIT].offer([front.guest.put(0x80000, HEADER + frame)])
    front.kick(TRANSMIT)


@pytest.mark.parametrize("features", [ALL, PLAIN])
def test_a_question_is_answered(front, question, is_answer, features):
    front.start(features)
    make_room(front)
    transmit(front, question)
    [answer] = received(front)
    assert answer[:12] == bytes(10) + b"\1\0"
    assert is_answer(answer[12:])
    assert front.was_called(RECEIVE) == 1


def superframe():
    """A frame of 3000 bytes of TCP payload, as a flow of ours sends it."""
    source, destination = bytes([192, 168, 65, 1]), bytes([192, 168, 65, 3])
    segment = Segment(80, 1000, 1, 2, Flag.ACK, 100, payload=b"x" * 3000)
    data = bytearray(segment.emit(source, destination))
    length = len(data) + 20
    ip = bytes.fromhex("4500") + length.to_bytes(2, "big") + bytes.fromhex("0000400040060000")
    offload = Offload(OffloadFlag.NEEDS_CHECKSUM, Segmentation.TCPV4, 54, 1460, 34, 16)
    header = offload.emit() + b"\0\0"
    return header, b"m" * 12 + b"\x08\x00" + ip + source + destination + bytes(data)


def test_a_driver_with_offload_gets_superframes(front, engine):
    front.start(ALL)
    make_room(front)
    [plug] = engine.plugs.values()
    plug.link.send([superframe()])
    first, second = received(front)
    assert len(first) + len(second) == 12 + 54 + 3000
    assert first[:10] == superframe()[0][:10]
    assert first[10:12] == b"\2\0"


def test_a_driver_without_gets_them_cut(front, engine):
    front.start(PLAIN)
    make_room(front)
    [plug] = engine.plugs.values()
    plug.link.send([superframe()])
    frames = received(front)
    assert [len(frame) - 66 for frame in frames] == [1460, 1460, 80]
    for frame in frames:
        assert frame[:12] == bytes(10) + b"\1\0"
        Segment.parse(frame[46:], frame[38:42], frame[42:46])  # its checksum is right


def test_frames_are_lost_before_there_is_a_driver(engine, front):
    [plug] = engine.plugs.values()
    plug.link.send([(HEADER, bytes(14))])
    assert plug.link.lost == 1
    unplugged = VhostLink(front.socket.dup())
    unplugged.send([(HEADER, bytes(14))])
    assert unplugged.lost == 0
    unplugged.close()


def test_a_machine_that_goes_is_unplugged(engine, front, turns):
    front.start(ALL)
    front.socket.close()
    turns()
    assert engine.plugs == {}


def test_a_machine_that_cheats_is_unplugged(engine, front, turns, caplog):
    front.start(ALL)
    front.drivers[RECEIVE].set_index(99)
    [plug] = engine.plugs.values()
    plug.link.send([(HEADER, bytes(14))])
    turns()
    assert engine.plugs == {}


def test_a_link_that_is_unplugged_lets_go(engine, front, turns):
    front.start(ALL)
    [plug] = engine.plugs.values()
    engine.unplug(plug)
    assert not front.is_connected()


def test_machines_come_and_come_again(engine, machine, runtime_root, turns, question, is_answer):
    path = runtime_root / "net"
    listening = listen_vhost(
        engine.loop, path, lambda link, name: engine.plug(link, name=name), name="vm"
    )
    for name in ("vm", "vm-2"):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(path))
        front = machine(connection)
        turns()
        assert [plug.name for plug in engine.plugs.values()] == [name]
        front.start(ALL)
        make_room(front)
        transmit(front, question)
        assert is_answer(received(front)[0][12:])
        connection.close()
        turns()
        assert engine.plugs == {}
    listening.close()


def test_a_link_that_cannot_be_plugged_in_is_closed(engine, runtime_root, turns, caplog):
    def refuse(link, name):
        raise RuntimeError("no room")

    listening = listen_vhost(engine.loop, runtime_root / "net", refuse)
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(str(runtime_root / "net"))
        turns()
        assert peer.recv(1) == b""
    assert "no room" in caplog.text
    listening.close()
