"""Captures, as Wireshark reads them."""

import json
import shutil
import subprocess
import time

import pytest

from sampan.net.link.pcapng import Direction
from sampan.net.runtime.view.capture import Capture, Options
from sampan.net.runtime.view.sink import FileSink, Rotation
from sampan.net.wire import vnet
from sampan.net.wire.checksum import pseudo_sum
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.tcp import Flag, Segment

pytestmark = pytest.mark.compat
TSHARK = shutil.which("tshark")
GUEST, REMOTE = bytes([192, 168, 65, 3]), bytes([93, 184, 216, 34])
GET = b"GET /there HTTP/1.1\r\nHost: www.example.com\r\n\r\n"


def frame(payload, sequence=1):
    segment = Segment(40000, 80, sequence, 2, Flag.ACK | Flag.PSH, 1000, payload=payload)
    packet = Ipv4(GUEST, REMOTE, Protocol.TCP, segment.emit(GUEST, REMOTE)).emit()
    return Frame(b"\2" + bytes(5), b"\4" + bytes(5), EtherType.IPV4, packet).emit()


def superframe(payload, sequence):
    """Behind an offload header, its checksum left to the device."""
    whole = bytearray(frame(payload, sequence))
    partial = pseudo_sum(GUEST, REMOTE, Protocol.TCP, len(whole) - 34)
    whole[50:52] = partial.to_bytes(2, "big")
    head = vnet.Offload(vnet.Flag.NEEDS_CHECKSUM, vnet.Segmentation.TCPV4, 54, 1460, 34, 16)
    return head.emit() + bytes(whole)


@pytest.fixture
def tshark(tmp_path):
    if TSHARK is None:
        pytest.skip("tshark is not installed")

    def run(*arguments, file="x.pcapng"):
        command = [TSHARK, "-n", "-r", tmp_path / file, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        return done.stdout

    return run


@pytest.fixture
def capture(tmp_path):
    found = Capture(FileSink(tmp_path / "x.pcapng"), Options(comment="a test"), time.time_ns)
    found.seen("web", (frame(GET),), 0, Direction.OUT)
    found.learn(REMOTE, ("www.example.com", "example.com"))
    found.seen("web", (superframe(b"x" * 20_000, 1 + len(GET)),), 10, Direction.IN)
    found.close()
    return found


def test_frames_names_and_comments(capture, tshark):
    fields = [
        "frame.interface_name",
        "frame.comment",
        "http.host",
        "tcp.len",
        "tcp.checksum.status",
    ]
    shown = tshark("-o", "tcp.check_checksum:TRUE", "-T", "json", *(f"-e{each}" for each in fields))
    first, second = (each["_source"]["layers"] for each in json.loads(shown))
    assert first["frame.interface_name"] == ["web"]
    assert first["http.host"] == ["www.example.com"]
    assert second["tcp.len"] == ["20000"]
    assert "segments of 1460 bytes" in second["frame.comment"][0]
    assert first["tcp.checksum.status"] == second["tcp.checksum.status"] == ["1"]  # good


def test_names_of_addresses(capture, tshark):
    """Those behind the block of names have them; Wireshark goes over the others again."""
    shown = tshark("-N", "n", "-T", "fields", "-e", "ip.dst_host").split()
    assert shown == ["93.184.216.34", "www.example.com"]


def test_directions(capture, tshark):
    assert tshark("-T", "fields", "-e", "frame.packet_flags_direction").split() == [
        "0x00000002", "0x00000001",
    ]  # fmt: skip


def test_a_capture_that_was_killed_can_be_read(tmp_path, tshark):
    found = Capture(FileSink(tmp_path / "x.pcapng"), Options(), time.time_ns)
    found.seen("web", (frame(GET),), 0, Direction.OUT)
    found.flush()
    assert "www.example.com" in tshark("-T", "fields", "-e", "http.host")
    found.close()


def test_each_of_several_files_can_be_read_while_it_is_written(tmp_path, tshark):
    sink = FileSink(tmp_path / "x.pcapng", Rotation(max_bytes=1000, max_files=3))
    found = Capture(sink, Options(), time.time_ns)
    seen = []
    for number in range(12):
        found.seen("web", (frame(b"%03d" % number * 100, 1 + number),), 0, Direction.OUT)
        found.learn(REMOTE, (f"n{number}.example.com",))
        found.flush()
        seen.append({each.name for each in tmp_path.iterdir()})
        for name in seen[-1]:
            links = tshark("-T", "fields", "-e", "frame.interface_name", file=name).split()
            assert set(links) == {"web"}
    found.close()
    assert {len(each) for each in seen[6:]} == {3}
    last = max(seen[-1], key=lambda name: (len(name), name))
    shown = tshark("-N", "n", "-T", "fields", "-e", "ip.dst_host", file=last).split()
    assert shown[0].endswith(".example.com")  # learnt while an earlier file was written
