import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.ntp import NTPHeader

from sampan.net.services.ntp import answer, timestamp
from sampan.net.wire.error import MalformedError

NOW = 1_800_000_000.25


def test_scapy_reads_the_answer_to_its_request():
    request = NTPHeader(version=4, mode=3, poll=6, sent=0x0123456789ABCDEF)
    data = answer(bytes(request), NOW, NOW + 0.5)
    assert len(data) == 48
    seen = NTPHeader(data)
    assert (seen.version, seen.mode, seen.leap, seen.stratum, seen.poll) == (4, 4, 0, 10, 6)
    assert data[24:32] == bytes(request)[40:48]
    assert int.from_bytes(data[32:40], "big") == timestamp(NOW)
    assert int.from_bytes(data[40:48], "big") - timestamp(NOW) == 1 << 31


def test_time_since_1900():
    assert timestamp(0) == 2_208_988_800 << 32
    assert timestamp(2**32 - 2_208_988_800 + 1.5) == (1 << 32) + (1 << 31)


@pytest.mark.parametrize("first", [0x24, 0x1C, 0x23 | 0x18, 0x03, 0x16, 0x27, 0x00])
def test_only_clients_are_answered(first):
    if first & 7 == 3 and 1 <= first >> 3 & 7 <= 4:
        assert answer(bytes([first]) + bytes(47), NOW, NOW)
    else:
        with pytest.raises(MalformedError):
            answer(bytes([first]) + bytes(47), NOW, NOW)


@given(st.binary(max_size=80))
def test_noise(noise):
    try:
        data = answer(noise, NOW, NOW)
    except MalformedError:
        return
    assert len(data) <= len(noise)
