from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapNgReader, RawPcapNgWriter

from sampan.net.link import pcapng
from sampan.net.link.error import LinkError
from sampan.net.link.pcapng import Direction, Interface, Names, Packet

FRAME = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(dst="1.2.3.4") / UDP())
NOW_NS = 1_800_000_000_123_456_789


def test_scapy_reads_what_we_write(tmp_path):
    data = (
        pcapng.section(comment="a test")
        + pcapng.interface("web", 65535)
        + pcapng.names({bytes([1, 2, 3, 4]): ("one.example",)})
        + pcapng.packet(FRAME, NOW_NS, direction=Direction.OUT, comment="ping")
        + pcapng.packet(FRAME[:20], NOW_NS + 1, length=len(FRAME))
    )
    (tmp_path / "x.pcapng").write_bytes(data)
    with RawPcapNgReader(str(tmp_path / "x.pcapng")) as reader:
        seen: list[Any] = list(reader)
    [(first, meta), (second, cut)] = seen
    assert (first, second) == (FRAME, FRAME[:20])
    assert (meta.tshigh << 32 | meta.tslow, meta.tsresol) == (NOW_NS, 10**9)
    assert (meta.wirelen, cut.wirelen) == (len(FRAME), len(FRAME))
    assert meta.linktype == 1


def test_we_read_what_scapy_writes(tmp_path):
    writer = RawPcapNgWriter(str(tmp_path / "x.pcapng"))
    writer.write_header(Ether(FRAME))
    writer.write_packet(Ether(FRAME), sec=1_800_000_000, usec=5)
    writer.close()
    found = list(pcapng.read((tmp_path / "x.pcapng").read_bytes()))
    assert [each.data for each in found if isinstance(each, Packet)] == [FRAME]


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)


@given(
    frames=st.lists(
        st.builds(
            Packet,
            st.integers(0, 3),
            st.integers(0, 2**64 - 1),
            st.binary(max_size=80),
            st.integers(80, 70000),
            st.sampled_from(Direction),
            texts,
        ),
        max_size=4,
    ),
    name=texts,
    known=st.dictionaries(
        st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16),
        st.lists(texts, min_size=1, max_size=3).map(tuple),
        max_size=3,
    ),
)
def test_round_trip(frames, name, known):
    data = pcapng.section() + pcapng.interface(name, 96) + pcapng.names(known)
    for each in frames:
        data += pcapng.packet(
            each.data, each.time_ns, interface=each.interface, length=each.length,
            direction=each.direction, comment=each.comment,
        )  # fmt: skip
    assert list(pcapng.read(data)) == [Interface(name, 96), Names(known), *frames]


def test_more_names_than_a_record_holds():
    data = pcapng.section() + pcapng.names({bytes(4): tuple("x" * 1000 for _ in range(100))})
    [found] = pcapng.read(data)
    assert isinstance(found, Names)
    assert len(found.names[bytes(4)]) == 65


CAPTURE = (
    pcapng.section() + pcapng.interface("x") + pcapng.names({bytes(4): ("a",)})
    + pcapng.packet(FRAME, NOW_NS, comment="c")
)  # fmt: skip


def test_a_capture_that_was_cut_is_read_up_to_there():
    blocks = pcapng.read(CAPTURE[:-5])
    assert [type(next(blocks)), type(next(blocks))] == [Interface, Names]
    with pytest.raises(LinkError, match="damaged or cut"):
        next(blocks)


@pytest.mark.parametrize(
    "data", [b"no capture at all", b"\n\r\r\n\x0d\0\0\0" + bytes(9), CAPTURE[28:]]
)
def test_what_is_no_capture(data):
    with pytest.raises(LinkError):
        list(pcapng.read(data))


def test_the_other_byte_order():
    with pytest.raises(LinkError, match="byte order"):
        list(pcapng.read(CAPTURE[:8] + CAPTURE[8:12][::-1] + CAPTURE[12:]))


@given(st.integers(0, len(CAPTURE) - 1), st.binary(max_size=6))
@settings(max_examples=300)
def test_damage_is_noticed_or_harmless(at, noise):
    try:
        list(pcapng.read(CAPTURE[:at] + noise + CAPTURE[at + len(noise) :]))
    except LinkError:
        return


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_splitter(size):
    blocks = [
        pcapng.section(), pcapng.interface("web"), pcapng.packet(b"abc", 1),
        pcapng.names({bytes(4): ("x",)}),
    ]  # fmt: skip
    whole, splitter = b"".join(blocks), pcapng.Splitter()
    found = [
        each
        for at in range(0, len(whole), size)
        for each in splitter.received(whole[at : at + size])
    ]
    assert [each.data for each in found] == blocks
    assert [(each.is_packet, each.is_names) for each in found] == [
        (False, False), (False, False), (True, False), (False, True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n", pcapng.section() * 2, pcapng.packet(b"abc", 1),
        pcapng.section() + b"\6\0\0\0\xff\xff\xff\x7f", pcapng.section() + b"\6\0\0\0\0\0\0\0",
    ],
)  # fmt: skip
def test_splitter_keeps_no_nonsense(data):
    with pytest.raises(LinkError):
        pcapng.Splitter().received(data)
