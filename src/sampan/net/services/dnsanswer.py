"""DNS answers: made from what we know ourselves, and cut to what the asker can take.

A `Book` of names answers for itself: A, AAAA and PTR; other types of a name that it has are
empty answers, and a name of its domain that it has not does not exist. Everything else is
somebody else's to answer.

An answer that is too long for a datagram loses its additional and authority records first,
which needs no mention (RFC 2181, 9); then as many answers as it takes, with the TC bit, so that
even a resolver without TCP has something. EDNS is answered with EDNS (RFC 6891, 7).

It may not know whom else to ask, nor anything about time.
"""

from __future__ import annotations

from dataclasses import replace

from sampan.net.services.hosts import Book
from sampan.net.wire.dns import (
    Message,
    Name,
    Question,
    Record,
    ResponseCode,
    Type,
    emit_name,
    fold,
)

LOCAL_TTL_S = 10  # machines come and go
UDP_PAYLOAD = 1232  # what we say we take: fits every path (DNS flag day 2020)
_DNSSEC_OK = 0x8000
_REVERSE_4 = (b"in-addr", b"arpa")
_REVERSE_6 = (b"ip6", b"arpa")


def local(question: Question, book: Book) -> Message | None:
    """What the book answers; None if it leaves that to others."""
    records: list[tuple[Type, bytes]]
    address = reverse_address(fold(question.name))
    if address is not None:
        owner = book.name(address)
        if owner is None:
            return None
        records = [(Type.PTR, emit_name(owner))] if owner else []
    else:
        addresses = book.addresses(question.name)
        if addresses is None:
            return None
        records = [(Type.A if len(raw) == 4 else Type.AAAA, raw) for raw in addresses]
    return Message(
        0,
        answers=tuple(
            Record(question.name, kind, LOCAL_TTL_S, data)
            for kind, data in records
            if question.kind in (kind, Type.ANY)
        ),
        response=True,
        authoritative=True,
        code=ResponseCode.NO_ERROR if records else ResponseCode.NAME_ERROR,
    )


def failure(code: int) -> Message:
    """An answer that says no more than how it went wrong."""
    return Message(0, response=True, code=code)


def renamed(query: Message, name: Name, answer: Message) -> Message:
    """The answer to `query`, when `name` was asked for in place of the name in it."""
    own = query.questions[0].name
    if fold(own) == fold(name):
        return answer
    alias = Record(own, Type.CNAME, LOCAL_TTL_S, emit_name(name))
    return replace(answer, answers=(alias, *answer.answers))


def can_be_sent(message: Message) -> bool:
    """Whether every record fits its length field, now that the names in it are uncompressed."""
    records = (*message.answers, *message.authorities, *message.additional)
    return all(len(record.data) <= 0xFFFF for record in records)


def wants_signatures(query: Message) -> bool:
    """Whether its asker set the DNSSEC OK bit."""
    return any(each.kind == Type.OPT and each.ttl_s & _DNSSEC_OK for each in query.additional)


def upstream(query: Message, identifier: int) -> bytes:
    """The question of a query as we ask it ourselves: EDNS if the asker has it, no options."""
    options = tuple(
        Record((), Type.OPT, each.ttl_s & _DNSSEC_OK, b"", network=UDP_PAYLOAD)
        for each in query.additional
        if each.kind == Type.OPT
    )
    return Message(identifier, query.questions[:1], additional=options[:1]).emit()


def emit(query: Message, answer: Message, *, over_tcp: bool) -> bytes:
    """The bytes that answer `query` with the records and code of `answer`."""
    edns = any(each.kind == Type.OPT for each in query.additional)
    option = (Record((), Type.OPT, 0, b"", network=UDP_PAYLOAD),) if edns else ()
    kept = tuple(each for each in answer.additional if each.kind != Type.OPT)
    reply = replace(
        answer,
        identifier=query.identifier,
        questions=query.questions,
        additional=kept + option,
        response=True,
        opcode=query.opcode,
        recursion_desired=query.recursion_desired,
        recursion_available=True,
    )
    limit = 0xFFFF if over_tcp else min(query.udp_limit, 0xFFFF - 28)
    data = reply.emit()
    if len(data) <= limit:
        return data
    reply = replace(reply, additional=option)
    if reply.answers:
        reply = replace(reply, authorities=())
    return _cut(reply, limit)


def _cut(reply: Message, limit: int) -> bytes:
    data = reply.emit()
    while len(data) > limit and (reply.answers or reply.authorities):
        answers = reply.answers
        spare = len(data) - limit
        while answers and spare > 0:
            spare -= len(emit_name(answers[-1].name)) + 10 + len(answers[-1].data)
            answers = answers[:-1]
        reply = replace(reply, answers=answers, authorities=(), truncated=True)
        data = reply.emit()
    return data


def reverse_address(name: Name) -> bytes | None:
    """The address that a folded name under `in-addr.arpa` or `ip6.arpa` stands for."""
    labels = name[:-2]
    if name[-2:] == _REVERSE_4 and len(labels) == 4:
        if all(label.isdigit() and len(label) <= 3 and int(label) < 256 for label in labels):
            return bytes(int(label) for label in reversed(labels))
    elif name[-2:] == _REVERSE_6 and len(labels) == 32:
        text = b"".join(reversed(labels))
        if len(text) == 32 and all(byte in b"0123456789abcdef" for byte in text):
            return bytes.fromhex(text.decode())
    return None
