import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP

from sampan.net.wire.dhcpv4 import Code, Dhcp, MessageType
from sampan.net.wire.error import MalformedError

MAC = bytes.fromhex("02005e100001")
quads = st.binary(min_size=4, max_size=4)


@given(
    st.builds(
        Dhcp,
        request=st.booleans(),
        transaction=st.integers(0, 2**32 - 1),
        mac=st.just(MAC),
        client=quads,
        yours=quads,
        server=quads,
        relay=quads,
        seconds=st.integers(0, 0xFFFF),
        broadcast=st.booleans(),
        options=st.dictionaries(
            st.integers(1, 254).filter(lambda code: code != 52), st.binary(max_size=600), max_size=3
        ),
    )
)
def test_round_trip_even_of_long_options(message: Dhcp) -> None:
    assert Dhcp.parse(message.emit()) == message


def test_scapy_reads_an_offer() -> None:
    offer = Dhcp(
        request=False,
        transaction=7,
        mac=MAC,
        yours=bytes([192, 168, 65, 3]),
        options={Code.MESSAGE_TYPE: b"\x02", Code.LEASE_TIME: (3600).to_bytes(4, "big")},
    )
    assert len(offer.emit()) == 300
    seen = BOOTP(offer.emit())
    assert (seen.op, seen.xid, seen.yiaddr) == (2, 7, "192.168.65.3")
    assert ("message-type", 2) in seen[DHCP].options
    assert ("lease_time", 3600) in seen[DHCP].options


def test_we_read_scapys_discover() -> None:
    built = BOOTP(chaddr=MAC, xid=9, flags="B") / DHCP(
        options=[("message-type", "discover"), ("hostname", b"vm"), "end"]
    )
    message = Dhcp.parse(bytes(built))
    assert message.message_type is MessageType.DISCOVER
    assert (message.request, message.mac, message.broadcast) == (True, MAC, True)
    assert message.options[Code.HOST_NAME] == b"vm"


def test_options_overloaded_into_the_name_and_file_fields() -> None:
    data = bytearray(Dhcp(request=True, transaction=1, mac=MAC, options={52: b"\x03"}).emit())
    data[44:50] = b"\x0c\x02hi\xff\0"
    data[108:113] = b"\x35\x01\x03\xff\0"
    message = Dhcp.parse(data)
    assert message.options[Code.HOST_NAME] == b"hi"
    assert message.message_type is MessageType.REQUEST


@pytest.mark.parametrize("value", [b"", b"\x00", b"\x09", b"\x01\x01"])
def test_a_type_that_makes_no_sense(value: bytes) -> None:
    assert (
        Dhcp(request=True, transaction=1, mac=MAC, options={Code.MESSAGE_TYPE: value}).message_type
        is None
    )


@pytest.mark.parametrize("at", [0, 1, 2, 236])
def test_what_is_not_dhcp_over_ethernet(at: int) -> None:
    data = bytearray(Dhcp(request=True, transaction=1, mac=MAC).emit())
    data[at] = 98
    with pytest.raises(MalformedError, match="not DHCP"):
        Dhcp.parse(data)


def test_options_that_run_past_the_message() -> None:
    data = Dhcp(request=True, transaction=1, mac=MAC, options={12: b"x" * 100}).emit()
    for end in (239, 241, 300):
        with pytest.raises(MalformedError):
            Dhcp.parse(data[:end])
