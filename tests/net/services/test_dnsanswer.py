import dnslib
import pytest

from sampan.net.services import dnsanswer
from sampan.net.services.hosts import Book, Entry, Hosts
from sampan.net.wire.dns import Message, Question, Record, Type, emit_name, parse_name

NAME = parse_name("www.example.com")
DO = Record((), Type.OPT, 0x8000, b"\0\x0a\0\x08cookie!!", network=4096)


def book() -> Book:
    names = Book(networks=["fd00::/64"])
    names.replace("x", Hosts((Entry("10.0.0.1", ("x", "y")), Entry("fd00::1", ("x",)))))
    return names


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("4.3.2.1.in-addr.arpa", bytes([1, 2, 3, 4])),
        ("1." + "0." * 30 + "f.ip6.arpa", b"\xf0" + bytes(14) + b"\x01"),
        ("3.2.1.in-addr.arpa", None),
        ("x.3.2.1.in-addr.arpa", None),
        ("256.3.2.1.in-addr.arpa", None),
        ("g." + "0." * 31 + "ip6.arpa", None),
        ("10." + "0." * 31 + "ip6.arpa", None),
        ("4.3.2.1.in-addr.example", None),
        ("www.example.com", None),
    ],
)
def test_names_that_stand_for_addresses(text, address):
    assert dnsanswer.reverse_address(parse_name(text)) == address


def test_a_book_answers_by_type():
    def kinds(text: str, kind: int) -> list[int] | None:
        answer = dnsanswer.local(Question(parse_name(text), kind), book())
        return None if answer is None else [each.kind for each in answer.answers]

    assert kinds("x", Type.A) == [Type.A]
    assert kinds("X", Type.AAAA) == [Type.AAAA]
    assert kinds("x", Type.ANY) == [Type.A, Type.AAAA]
    assert kinds("x", Type.MX) == []
    assert kinds("z", Type.A) is None
    assert kinds("1.0.0.10.in-addr.arpa", Type.PTR) == [Type.PTR]
    assert kinds("1.0.0.10.in-addr.arpa", Type.A) == []
    assert kinds("2.0.0.10.in-addr.arpa", Type.PTR) is None


def test_what_goes_upstream_keeps_the_dnssec_bit_and_nothing_private():
    data = dnsanswer.upstream(Message(1, (Question(NAME, Type.A),), additional=(DO, DO)), 77)
    seen = Message.parse(data)
    assert (seen.identifier, seen.questions) == (77, (Question(NAME, Type.A),))
    assert seen.additional == (Record((), Type.OPT, 0x8000, b"", network=1232),)
    assert dnsanswer.wants_signatures(Message(1, additional=(DO,)))
    assert not dnsanswer.wants_signatures(Message(1))


def test_the_less_important_goes_first_when_there_is_no_room():
    query = Message(1, (Question(NAME, Type.A),))
    filler = tuple(Record(NAME, Type.TXT, 60, bytes(100)) for _ in range(5))
    answer = Message(
        9, answers=(Record(NAME, Type.A, 60, bytes(4)),), authorities=filler, additional=filler
    )
    whole = dnslib.DNSRecord.parse(dnsanswer.emit(query, answer, over_tcp=True))
    assert (len(whole.auth), len(whole.ar)) == (5, 5)
    cut = dnslib.DNSRecord.parse(dnsanswer.emit(query, answer, over_tcp=False))
    assert (cut.header.id, len(cut.rr), len(cut.auth), len(cut.ar), cut.header.tc) == (
        1,
        1,
        0,
        0,
        0,
    )


def test_no_answer_is_larger_than_what_carries_it():
    query = Message(1, (Question(NAME, Type.TXT),))
    answer = Message(9, answers=tuple(Record(NAME, Type.TXT, 60, bytes(1000)) for _ in range(90)))
    for over_tcp, limit in ((True, 0xFFFF), (False, 512)):
        data = dnsanswer.emit(query, answer, over_tcp=over_tcp)
        assert len(data) <= limit
        assert Message.parse(data).truncated


def test_records_that_grew_too_long():
    grown = Record(NAME, Type.MX, 60, bytes(65500) + emit_name(NAME) * 3)
    assert not dnsanswer.can_be_sent(Message(1, authorities=(grown,)))
    assert dnsanswer.can_be_sent(Message(1, answers=(Record(NAME, Type.A, 60, bytes(4)),)))


def test_a_failure_says_how():
    assert dnsanswer.failure(5).code == 5
