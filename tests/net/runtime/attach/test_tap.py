import errno
import os
import socket
from pathlib import Path

import pytest

from sampan.base.loop import Loop
from sampan.errors import SampanError
from sampan.net.core.network import Network
from sampan.net.runtime.attach import tap
from sampan.net.runtime.attach.tap import BATCH, BATCHES, TapLink, open_tap
from sampan.net.runtime.engine import Engine
from sampan.net.wire import address, vnet
from sampan.net.wire.arp import Arp, Operation
from sampan.net.wire.ethernet import EtherType, Frame

MAC = bytes.fromhex("020000000001")
CAN_TAP = os.geteuid() == 0 and Path(tap.DEVICE).exists()


def question():
    packet = Arp(
        Operation.REQUEST, MAC, bytes([192, 168, 65, 3]), bytes(6), bytes([192, 168, 65, 1])
    )
    return Frame(address.BROADCAST_MAC, MAC, EtherType.ARP, packet.emit()).emit()


@pytest.fixture
def engine():
    made = Engine(Loop(), Network(prefix6=b""))
    yield made
    made.close()
    made.loop.close()


@pytest.fixture(params=[True, False], ids=["offload", "plain"])
def link(request):
    """A link, and a socket that stands for the kernel's side of the device."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ours.setblocking(False)
    theirs.settimeout(60)
    made = TapLink(ours.detach(), offload=request.param)
    yield made, theirs
    made.close()
    theirs.close()


def test_frames_both_ways(engine, link):
    made, device = link
    engine.plug(made, name="tap")
    assert made.head in (0, vnet.HEADER_LENGTH)
    device.send(bytes(made.head) + question())
    engine.loop.run_once(None)
    answer = Frame.parse(device.recv(2000)[made.head :])
    assert Arp.parse(answer.payload).operation == Operation.REPLY


def test_a_turn_takes_a_bounded_number(engine, link, monkeypatch):
    made, device = link
    sizes = []
    engine.plug(made, name="tap")
    monkeypatch.setattr(os, "readv", lambda fd, buffers: len(question()) + made.head)

    def count(stack, port, frames, now):
        sizes.append(len(frames))

    monkeypatch.setattr(type(engine.stack), "frames_received", count)
    device.send(b"ready")
    engine.loop.run_once(0)
    assert sizes == [BATCH] * BATCHES


def test_frames_that_come_one_by_one_are_acted_upon_at_once(engine, link, monkeypatch):
    made, device = link
    engine.plug(made, name="tap")
    happened: list[str] = []
    waiting: list[int] = []

    def read(fd, buffers):
        if not waiting:
            happened.append("nothing more")
            raise BlockingIOError
        happened.append("read")
        return waiting.pop()

    def take(stack, port, frames, now):
        happened.append(f"took {len(frames)}")

    monkeypatch.setattr(type(engine.stack), "frames_received", take)
    monkeypatch.setattr(os, "readv", read)
    told = []
    for count in (1, 1, 2, 2):
        waiting += [60] * count
        made._ready(0)
        told.append(" ".join(happened))
        happened.clear()
    assert told == [
        "read nothing more took 1",
        "read took 1 nothing more",
        "read took 1 read nothing more took 1",
        "read read nothing more took 2",
    ]
    device.close()


def test_what_the_kernel_does_not_take_is_lost(engine, link):
    made, device = link
    engine.plug(made, name="tap")
    made.send([(b"x" * 60,)] * 1000)
    assert made.lost > 0
    device.close()


def test_a_device_that_is_gone_is_unplugged(engine, link, monkeypatch):
    made, device = link
    plug = engine.plug(made, name="tap")
    lost = []
    plug.when_lost = lambda: lost.append(True)

    def gone(fd, buffers):
        raise OSError(errno.EBADFD, "File descriptor in bad state")

    device.send(b"x")
    with monkeypatch.context() as patched:
        patched.setattr(os, "readv", gone)
        engine.loop.run_once(0)
    assert lost == [True]
    assert engine.plugs == {}


def test_who_is_closed_by_what_came_reads_no_further(engine, link):
    made, device = link
    plug = engine.plug(made, name="tap")
    engine.observe(
        next(each for each in engine._handlers if each.__name__ == "NeighbourLearned"),
        lambda each, now: engine.unplug(plug),
    )
    for _ in range(BATCH + 1):
        device.send(bytes(made.head) + question())
    engine.loop.run_once(0)
    assert engine.plugs == {}
    assert plug.port.frames_in <= BATCH


@pytest.mark.parametrize("name", ["", "a" * 16])
def test_names_that_are_none(name):
    with pytest.raises(SampanError, match="no name for a network device"):
        open_tap(name)


def test_no_such_device(monkeypatch, tmp_path):
    monkeypatch.setattr(tap, "DEVICE", str(tmp_path / "tun"))
    with pytest.raises(SampanError, match="cannot open") as caught:
        open_tap("tap0")
    assert "modprobe" in caught.value.hint


def test_not_a_tap_device(monkeypatch):
    monkeypatch.setattr(tap, "DEVICE", os.devnull)
    with pytest.raises(SampanError, match="cannot make the network device tap0") as caught:
        open_tap("tap0")
    assert "CAP_NET_ADMIN" in caught.value.hint


@pytest.mark.skipif(not CAN_TAP, reason="takes root and /dev/net/tun")
@pytest.mark.parametrize("offload", [True, False])
def test_a_real_device(engine, offload):
    fd = open_tap("sampantest%d", offload=offload)
    engine.plug(link := TapLink(fd, offload=offload), name="tap")
    link.send([(bytes(link.head) + question(),)])
    assert link.lost == 1  # it is down


def test_a_device_that_may_not_be_used(monkeypatch):
    def fail(*_):
        raise PermissionError(errno.EACCES, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", fail)
        with pytest.raises(SampanError, match="Permission denied") as caught:
            open_tap("tap0")
    assert "root has to allow" in str(caught.value.hint)
