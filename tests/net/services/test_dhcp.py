import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.dhcp import BOOTP, DHCP

from sampan.errors import UsageError
from sampan.net.services.dhcp import Leased, Released, Reply, Route, Server, Settings
from sampan.net.services.lease import Pool
from sampan.net.wire.address import parse_ip
from sampan.net.wire.dhcpv4 import Code, Dhcp, MessageType
from sampan.net.wire.error import MalformedError

MAC = bytes.fromhex("02005e100001")
OTHER = bytes.fromhex("02005e100002")
GATEWAY = parse_ip("192.168.65.1")
FIRST = parse_ip("192.168.65.3")
ALL = b"\xff\xff\xff\xff"
SETTINGS = Settings(
    server="192.168.65.1",
    router="192.168.65.1",
    resolvers=("192.168.65.1", "fd00::1"),
    domain="sampan.internal",
    search=("sampan.internal", "example.com"),
    time_servers=("192.168.65.1",),
    lease_s=3600,
)


def server(**changes) -> Server:
    return Server(
        Settings(
            **({name: getattr(SETTINGS, name) for name in SETTINGS.__struct_fields__} | changes)
        ),
        Pool(FIRST, parse_ip("192.168.65.9")),
    )


def ask(kind: MessageType, *, mac: bytes = MAC, client: bytes = bytes(4), **options) -> bytes:
    raw: dict[int, bytes] = {Code.MESSAGE_TYPE: bytes([kind])}
    raw |= {Code[name.upper()]: value for name, value in options.items()}
    return Dhcp(True, 77, mac, client=client, options=raw).emit()


def answer(reply: Reply | None) -> Dhcp:
    assert reply is not None
    return Dhcp.parse(reply.data)


def test_a_machine_gets_an_address():
    dhcp = server()
    reply = dhcp.received(ask(MessageType.DISCOVER), 0)
    offer = answer(reply)
    assert reply is not None
    assert (reply.ip, reply.mac) == (FIRST, MAC)
    assert (offer.message_type, offer.yours, offer.transaction) == (MessageType.OFFER, FIRST, 77)
    assert dhcp.events() == []
    request = ask(
        MessageType.REQUEST, server_id=GATEWAY, requested_address=FIRST, host_name=b"Web.lan"
    )
    ack = answer(dhcp.received(request, 1))
    assert (ack.message_type, ack.yours) == (MessageType.ACK, FIRST)
    [event] = dhcp.events()
    assert isinstance(event, Leased)
    assert (event.lease.mac, event.lease.ip, event.lease.name) == (MAC, FIRST, "web")
    renewed = dhcp.received(ask(MessageType.REQUEST, client=FIRST), 1800)
    assert answer(renewed).message_type is MessageType.ACK
    assert renewed is not None
    assert (renewed.ip, renewed.mac) == (FIRST, MAC)
    assert dhcp.received(ask(MessageType.RELEASE, client=FIRST), 1900) is None
    assert dhcp.events()[-1] == Released(MAC, FIRST)


def test_scapy_reads_all_that_is_told():
    dhcp = server(routes=(Route("10.8.0.0", 13, "192.168.65.2"),), mtu=65520)
    reply = dhcp.received(ask(MessageType.DISCOVER, max_size=(1500).to_bytes(2, "big")), 0)
    assert reply is not None
    options = {
        each[0]: each[1:] if len(each) > 2 else each[1]
        for each in BOOTP(reply.data)[DHCP].options
        if isinstance(each, tuple)
    }
    assert options["subnet_mask"] == "255.255.255.0"
    assert options["router"] == "192.168.65.1"
    assert options["name_server"] == "192.168.65.1"
    assert options["interface-mtu"] == 65520
    assert options["broadcast_address"] == "192.168.65.255"
    assert options["domain"] == b"sampan.internal"
    assert options["NTP_server"] == "192.168.65.1"
    assert (options["lease_time"], options["renewal_time"], options["rebinding_time"]) == (
        3600, 1800, 3150,
    )  # fmt: skip
    raw = answer(reply).options
    assert raw[Code.SEARCH] == b"\x06sampan\x08internal\0\x07example\x03com\0"
    assert raw[Code.STATIC_ROUTES] == (
        b"\x0d\x0a\x08" + parse_ip("192.168.65.2") + b"\0" + parse_ip("192.168.65.1")
    )


def test_only_what_is_asked_for():
    reply = answer(server().received(ask(MessageType.DISCOVER, parameter_list=bytes([26])), 0))
    assert set(reply.options) - {51, 53, 54, 58, 59} == {1, 3, 6, 26}


def test_what_does_not_fit_is_left_out():
    many = tuple(f"domain-number-{n}.example.com" for n in range(30))
    dhcp = server(search=many)
    small = dhcp.received(ask(MessageType.DISCOVER), 0)
    assert Code.SEARCH not in answer(small).options
    assert Code.NTP in answer(small).options
    assert small is not None
    assert len(small.data) <= 548
    large = dhcp.received(ask(MessageType.DISCOVER, max_size=(1500).to_bytes(2, "big")), 0)
    assert len(answer(large).options[Code.SEARCH]) == sum(len(name) + 2 for name in many)


def test_rapid_commit():
    dhcp = server()
    ack = answer(dhcp.received(ask(MessageType.DISCOVER, rapid_commit=b""), 0))
    assert ack.message_type is MessageType.ACK
    assert ack.options[Code.RAPID_COMMIT] == b""
    assert len(dhcp.events()) == 1


@pytest.mark.parametrize("wanted", ["10.0.0.1", "192.168.65.200", "192.168.65.1"])
def test_an_address_it_cannot_have_is_refused_aloud(wanted):
    for request in (
        ask(MessageType.REQUEST, requested_address=parse_ip(wanted)),
        ask(MessageType.REQUEST, client=parse_ip(wanted)),
    ):
        reply = server().received(request, 0)
        assert answer(reply).message_type is MessageType.NAK
        assert reply is not None
        assert (reply.ip, reply.mac) == (ALL, b"\xff" * 6)


def test_an_address_of_another_machine_is_refused():
    dhcp = server()
    dhcp.received(ask(MessageType.REQUEST, requested_address=FIRST), 0)
    reply = dhcp.received(ask(MessageType.REQUEST, mac=OTHER, requested_address=FIRST), 1)
    assert answer(reply).message_type is MessageType.NAK


def test_an_address_from_before_our_restart_is_granted():
    wanted = parse_ip("192.168.65.7")
    assert answer(server().received(ask(MessageType.REQUEST, client=wanted), 0)).yours == wanted


def test_a_machine_that_took_another_servers_offer():
    dhcp = server()
    dhcp.received(ask(MessageType.DISCOVER), 0)
    other = ask(MessageType.REQUEST, server_id=ALL, requested_address=FIRST)
    assert dhcp.received(other, 1) is None
    assert dhcp.pool.find(MAC, 1) is None


def test_a_declined_address_is_not_offered_again():
    dhcp = server()
    dhcp.received(ask(MessageType.REQUEST, requested_address=FIRST), 0)
    assert dhcp.received(ask(MessageType.DECLINE, requested_address=FIRST), 1) is None
    assert dhcp.events()[-1] == Released(MAC, FIRST, declined=True)
    assert answer(dhcp.received(ask(MessageType.DISCOVER), 2)).yours != FIRST


def test_inform_tells_options_and_no_address():
    here = parse_ip("192.168.65.77")
    reply = server().received(ask(MessageType.INFORM, client=here), 0)
    ack = answer(reply)
    assert (ack.message_type, ack.yours) == (MessageType.ACK, bytes(4))
    assert Code.LEASE_TIME not in ack.options
    assert reply is not None
    assert reply.ip == here


def test_a_machine_that_wants_a_broadcast():
    message = Dhcp(True, 1, MAC, broadcast=True, options={Code.MESSAGE_TYPE: b"\x01"})
    reply = server().received(message.emit(), 0)
    assert reply is not None
    assert (reply.ip, reply.mac) == (ALL, b"\xff" * 6)


@pytest.mark.parametrize(
    "message",
    [
        Dhcp(False, 1, MAC, options={Code.MESSAGE_TYPE: b"\x01"}),
        Dhcp(True, 1, MAC, relay=FIRST, options={Code.MESSAGE_TYPE: b"\x01"}),
        Dhcp(True, 1, b"\xff" * 6, options={Code.MESSAGE_TYPE: b"\x01"}),
        Dhcp(True, 1, MAC),
        Dhcp(True, 1, MAC, options={Code.MESSAGE_TYPE: b"\x02"}),
        Dhcp(True, 1, MAC, options={Code.MESSAGE_TYPE: b"\x03"}),
    ],
    ids=["an answer", "relayed", "broadcast MAC", "BOOTP", "an offer", "a request for nothing"],
)
def test_silence(message):
    assert server().received(message.emit(), 0) is None


def test_when_all_addresses_are_taken():
    dhcp = server()
    macs = [bytes([2, 0, 0, 0, 9, n]) for n in range(8)]
    replies = [
        dhcp.received(ask(MessageType.DISCOVER, rapid_commit=b"", mac=mac), 0) for mac in macs
    ]
    assert replies[-1] is None
    assert len({answer(reply).yours for reply in replies[:-1]}) == 7


@pytest.mark.parametrize(
    ("name", "kept"),
    [(b"VM-1\0", "vm-1"), (b"a b", ""), (b"-x", ""), (b"\xff", ""), (b"x" * 64, "")],
)
def test_names_machines_give_themselves(name, kept):
    dhcp = server()
    dhcp.received(ask(MessageType.REQUEST, requested_address=FIRST, host_name=name), 0)
    [event] = dhcp.events()
    assert isinstance(event, Leased)
    assert event.lease.name == kept


@pytest.mark.parametrize(
    "changes",
    [{"prefix": 0}, {"mtu": 1}, {"lease_s": 0}, {"router": "x"}, {"domain": "a..b"}, {"search": ("x" * 70,)}],
)  # fmt: skip
def test_settings_that_cannot_be_sent(changes):
    with pytest.raises(UsageError):
        server(**changes)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_noise_is_refused_and_changes_nothing(noise):
    dhcp = server()
    head = ask(MessageType.DISCOVER)[:240]
    for data in noise:
        for message in (data, head + data):
            try:
                reply = dhcp.received(message, 0)
            except MalformedError:
                continue
            assert reply is None or Dhcp.parse(reply.data).transaction == 77
