import socket
from pathlib import Path
from typing import Any

import pytest

from sampan.errors import UsageError
from sampan.net.core.endpoint import Endpoint
from sampan.net.link import pcapng
from sampan.net.runtime.control import model, recording
from sampan.net.runtime.control.fault import NotFoundError
from sampan.net.runtime.control.recording import Recording
from sampan.net.runtime.view.eventlog import EventLog
from sampan.net.runtime.view.flowtable import FlowTable
from sampan.net.services.hosts import Entry

NAMES = ("example.test",)


class Clock:
    def wall_s(self):
        return 1000.5


class Leases:
    def leases(self, now):
        from sampan.net.runtime.service.dhcp import LeaseRecord

        yield LeaseRecord(mac="", address="192.168.65.3", remaining_s=1, name="web")
        yield LeaseRecord(mac="", address="192.168.65.4", remaining_s=1)


class Assembly:
    """As much of one as captures need, around the engine of `net`."""

    def __init__(self, net):
        self.engine = net.engine
        self.clock = Clock()
        self.events = EventLog(self.clock.wall_s)
        self.flow_table = FlowTable(
            net.engine, self.clock.wall_s, names=lambda machine, address: NAMES, events=self.events
        )
        self.dhcp = Leases()


@pytest.fixture
def captures(net):
    assembly: Any = Assembly(net)
    made = Recording(assembly)
    yield made
    made.close()


@pytest.fixture
def say(net, host_address):
    """The machine sends a datagram to the host."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def say(payload):
            net.machine.udp(payload, Endpoint(host_address, server.getsockname()[1]))
            net.settle()

        yield say


def _read(data):
    blocks = list(pcapng.read(data))
    packets = [each for each in blocks if isinstance(each, pcapng.Packet)]
    names = {
        address: texts
        for each in blocks
        if isinstance(each, pcapng.Names)
        for address, texts in each.names.items()
    }
    return packets, names


def test_to_a_file(captures, say, tmp_path):
    record = captures.to_file(model.CaptureAsked(path=str(tmp_path / "a"), filter="udp"))
    assert captures.files() == (record,)
    say(b"hello")
    captures.stop(record.id)
    (packet,), names = _read((tmp_path / "a").read_bytes())
    assert packet.data.endswith(b"hello")
    assert packet.direction is pcapng.Direction.OUT
    assert packet.time_ns == 1000_500_000_000
    assert names[bytes([192, 168, 65, 3])] == ("web",)
    assert NAMES in names.values()
    assert captures.files() == ()
    say(b"later")


def test_both_directions(captures, net, tmp_path):
    captures.to_file(model.CaptureAsked(path=str(tmp_path / "a")))
    connection = net.machine.connect(Endpoint(bytes([192, 168, 65, 254]), 1))
    net.until(lambda: connection.state == "refused")
    captures.close()
    packets, _ = _read((tmp_path / "a").read_bytes())
    assert {each.direction for each in packets} == {pcapng.Direction.IN, pcapng.Direction.OUT}


def test_to_a_client(captures, net, say):
    woken = []
    pulled = captures.to_client(model.CaptureStream(snap_length=50), lambda: woken.append(1))
    head = pulled.pull()
    assert head
    assert _read(head)[0] == []
    say(b"x" * 100)
    net.advance(recording.FLUSH_S)
    packets, _ = _read(head + pulled.pull())
    assert (50, 142) in [(len(each.data), each.length) for each in packets]
    assert woken
    assert not pulled.ended
    pulled.close()
    assert pulled.ended
    pulled.close()


def test_engine_is_left_alone_when_nobody_watches(captures, net, tmp_path):
    record = captures.to_file(model.CaptureAsked(path=str(tmp_path / "a")))
    captures.to_client(model.CaptureStream(), lambda: None).close()
    assert len(net.engine._watchers) == 1
    captures.stop(record.id)
    assert net.engine._watchers == []
    net.advance(recording.FLUSH_S)
    assert captures._timer is None


def test_what_cannot_be(captures, tmp_path):
    with pytest.raises(UsageError):
        captures.to_file(model.CaptureAsked(path=str(tmp_path / "no" / "a")))
    with pytest.raises(UsageError, match="filter"):
        captures.to_file(model.CaptureAsked(path=str(tmp_path / "a"), filter="prt"))
    with pytest.raises(NotFoundError):
        captures.stop("1")


def test_too_many(captures, monkeypatch):
    monkeypatch.setattr(recording, "MAX_CAPTURES", 1)
    captures.to_client(model.CaptureStream(), lambda: None)
    with pytest.raises(UsageError, match="run already"):
        captures.to_client(model.CaptureStream(), lambda: None)


def test_a_full_disk_ends_a_capture(captures, say):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    captures.to_file(model.CaptureAsked(path="/dev/full"))
    say(b"x")
    captures._flush()
    assert captures.files() == ()
    assert captures._captures == set()


def test_entries_without_flows_are_of_no_interest(captures, tmp_path):
    captures.to_file(model.CaptureAsked(path=str(tmp_path / "a")))
    captures._assembly.events.append("other", Entry("192.0.2.1", ("x",)))
    captures.close()
    assert bytes([192, 0, 2, 1]) not in _read((tmp_path / "a").read_bytes())[1]
