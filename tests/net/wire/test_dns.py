import dnslib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.wire import dns
from sampan.net.wire.dns import Message, Question, Record, Type
from sampan.net.wire.error import MalformedError

labels = st.binary(min_size=1, max_size=20)
names = st.lists(labels, max_size=5).map(tuple)
words = st.integers(0, 0xFFFF)
plain = st.sampled_from([Type.A, Type.AAAA, Type.TXT, 999])
records = st.builds(Record, names, plain, st.integers(0, 2**31 - 1), st.binary(max_size=30), words)
sections = st.lists(records, max_size=3).map(tuple)


@given(
    st.builds(
        Message,
        identifier=words,
        questions=st.lists(st.builds(Question, names, words, words), max_size=2).map(tuple),
        answers=sections,
        authorities=sections,
        additional=sections,
        response=st.booleans(),
        opcode=st.integers(0, 15),
        authoritative=st.booleans(),
        truncated=st.booleans(),
        recursion_desired=st.booleans(),
        recursion_available=st.booleans(),
        code=st.integers(0, 15),
    )
)
def test_round_trip(message: Message) -> None:
    assert Message.parse(message.emit()) == message


def test_dnslib_reads_what_we_emit() -> None:
    name = dns.parse_name("www.example.com.")
    data = Message(
        5,
        (Question(name, Type.A),),
        (Record(name, Type.A, 60, bytes([1, 2, 3, 4])),),
        response=True,
        recursion_available=True,
    ).emit()
    seen = dnslib.DNSRecord.parse(data)
    assert (seen.header.id, seen.header.qr, seen.header.ra) == (5, 1, 1)
    assert str(seen.q.qname) == "www.example.com."
    assert (str(seen.a.rdata), seen.a.ttl) == ("1.2.3.4", 60)


def test_we_read_what_dnslib_compresses() -> None:
    reply = dnslib.DNSRecord.question("a.example.com", "MX").reply()
    zone = "a.example.com. 60 MX 10 mail.example.com.\na.example.com. 60 CNAME b.example.com.\nexample.com. 9 SOA ns.example.com. me.example.com. 1 2 3 4 5"
    reply.add_answer(*dnslib.RR.fromZone(zone))
    message = Message.parse(reply.pack())
    mx, cname, soa = message.answers
    assert mx.data == b"\0\x0a" + dns.emit_name(dns.parse_name("mail.example.com"))
    assert cname.data == dns.emit_name(dns.parse_name("b.example.com"))
    assert str(dnslib.DNSRecord.parse(message.emit()).rr[2].rdata).startswith(
        "ns.example.com. me.example.com. 1 2"
    )
    assert soa.ttl_s == 9


def test_edns_says_what_fits() -> None:
    opt = Record((), Type.OPT, 0, b"", network=1232)
    assert Message(1, additional=(opt,)).udp_limit == 1232
    assert Message(1).udp_limit == 512


def test_names_as_people_write_them() -> None:
    assert dns.parse_name("Host.Sampan.Internal") == (b"Host", b"Sampan", b"Internal")
    assert dns.fold(dns.parse_name("HOST")) == (b"host",)
    assert dns.parse_name(".") == dns.parse_name("") == ()
    assert dns.parse_name("bücher.example") == (b"xn--bcher-kva", b"example")
    assert dns.format_name((b"a", b"\xff")) == r"a.\xff"


@pytest.mark.parametrize("text", ["a..b", "x" * 64, ".".join(["x" * 60] * 5), "..", ".a"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="domain name"):
        dns.parse_name(text)


HEADER = bytes.fromhex("000100000001000000000000")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEADER[:11],
        HEADER,
        HEADER + b"\xc0\x0c\0\x01\0\x01",
        HEADER + b"\xc0\xff\0\x01\0\x01",
        HEADER + b"\x40" + bytes(80),
        HEADER + b"\x05ab",
        HEADER + (b"\x3f" + b"x" * 63) * 5 + b"\0\0\x01\0\x01",
        bytes.fromhex("00010000ffffffffffffffff"),
        bytes.fromhex("000100000000000100000000") + b"\0\0\x05\0\x01" + bytes(4) + b"\0\x01\x03abc\0",
    ],
    ids=[
        "empty", "header cut", "no question", "points at itself", "points past the end", "reserved label",
        "label cut", "name too long", "too many", "name past its record",
    ],
)  # fmt: skip
def test_malformed(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Message.parse(data)


def test_data_that_compression_alone_could_hold() -> None:
    long = b"".join(b"\x3f" + b"x" * 63 for _ in range(3)) + b"\0"
    record = b"\0\0\x0f\0\x01" + bytes(4) + (65535).to_bytes(2, "big") + b"\0\x01\xc0\x0c"
    data = HEADER[:6] + b"\0\x01" + HEADER[8:] + long + b"\0\x01\0\x01" + record + bytes(65531)
    with pytest.raises(MalformedError, match="too long"):
        Message.parse(data)


@given(st.binary(max_size=120))
def test_noise_is_refused_or_parsed(noise: bytes) -> None:
    for data in (noise, HEADER + noise):
        try:
            Message.parse(data)
        except MalformedError:
            continue
