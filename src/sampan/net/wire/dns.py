"""DNS messages (RFC 1035) as a forwarder needs them.

Names and questions are understood, names inside the data of well-known records too; all other
data is kept as it is. A name is a tuple of labels, as bytes, in the case they came in; `fold` makes the form that
compares (RFC 4343). Compression is undone when reading, with pointers that can only go
backwards, and never used for writing: truncation, not compression, is what keeps an answer
within a datagram.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from sampan.net.wire.checksum import Buffer
from sampan.net.wire.error import MalformedError

Name: TypeAlias = tuple[bytes, ...]

MAX_UDP_PAYLOAD = 512  # without EDNS
MAX_LABEL = 63
MAX_NAME = 255
_HEADER = struct.Struct("!HHHHHH")
_QUESTION = struct.Struct("!HH")
_RECORD = struct.Struct("!HHIH")
_MAX_RECORDS = 512
_MAX_DATA = 65535
_RESPONSE, _AUTHORITATIVE, _TRUNCATED = 0x8000, 0x0400, 0x0200
_RECURSION_DESIRED, _RECURSION_AVAILABLE = 0x0100, 0x0080


class Type(IntEnum):
    """Record types that are told apart here."""

    A = 1
    NS = 2
    CNAME = 5
    SOA = 6
    PTR = 12
    MX = 15
    TXT = 16
    AAAA = 28
    SRV = 33
    OPT = 41
    ANY = 255


CLASS_IN = 1
# how many bytes of a record's data stand before the names in it, and how many names follow
_NAMES_IN = {
    Type.NS: (0, 1),
    Type.CNAME: (0, 1),
    Type.PTR: (0, 1),
    Type.MX: (2, 1),
    Type.SOA: (0, 2),
}


class ResponseCode(IntEnum):
    """How an answer ended."""

    NO_ERROR = 0
    FORMAT_ERROR = 1
    SERVER_FAILURE = 2
    NAME_ERROR = 3  # NXDOMAIN
    NOT_IMPLEMENTED = 4
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. `kind` may be any number, known or not."""

    name: Name
    kind: int
    network: int = CLASS_IN


@dataclass(frozen=True, slots=True)
class Record:
    """A resource record. `data` holds names uncompressed."""

    name: Name
    kind: int
    ttl_s: int
    data: bytes
    network: int = CLASS_IN


@dataclass(frozen=True, slots=True)
class Message:
    """A query or an answer."""

    identifier: int
    questions: tuple[Question, ...] = ()
    answers: tuple[Record, ...] = ()
    authorities: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    response: bool = False
    opcode: int = 0
    authoritative: bool = False
    truncated: bool = False
    recursion_desired: bool = True
    recursion_available: bool = False
    code: int = ResponseCode.NO_ERROR

    @property
    def udp_limit(self) -> int:
        """The largest answer its sender takes in a datagram (RFC 6891, 6.2.3)."""
        for record in self.additional:
            if record.kind == Type.OPT:
                return max(MAX_UDP_PAYLOAD, record.network)
        return MAX_UDP_PAYLOAD

    @classmethod
    def parse(cls, data: Buffer) -> Message:
        """The message in `data`.

        Raises:
            MalformedError: anything that does not fit.
        """
        reader = _Reader(bytes(data))
        identifier, flags, *counts = reader.unpack(_HEADER)
        if sum(counts) > _MAX_RECORDS:
            raise MalformedError(f"a DNS message of {sum(counts)} records")
        return cls(
            identifier,
            tuple(reader.question() for _ in range(counts[0])),
            tuple(reader.record() for _ in range(counts[1])),
            tuple(reader.record() for _ in range(counts[2])),
            tuple(reader.record() for _ in range(counts[3])),
            bool(flags & _RESPONSE), flags >> 11 & 15, bool(flags & _AUTHORITATIVE),
            bool(flags & _TRUNCATED), bool(flags & _RECURSION_DESIRED),
            bool(flags & _RECURSION_AVAILABLE), flags & 15,
        )  # fmt: skip

    def emit(self) -> bytes:
        """The message's bytes."""
        flags = (
            (_RESPONSE if self.response else 0) | self.opcode << 11
            | (_AUTHORITATIVE if self.authoritative else 0)
            | (_TRUNCATED if self.truncated else 0)
            | (_RECURSION_DESIRED if self.recursion_desired else 0)
            | (_RECURSION_AVAILABLE if self.recursion_available else 0) | self.code
        )  # fmt: skip
        sections = (self.answers, self.authorities, self.additional)
        counts = (len(self.questions), *map(len, sections))
        out = [_HEADER.pack(self.identifier, flags, *counts)]
        for question in self.questions:
            out += (emit_name(question.name), _QUESTION.pack(question.kind, question.network))
        for record in (record for section in sections for record in section):
            head = _RECORD.pack(record.kind, record.network, record.ttl_s, len(record.data))
            out += (emit_name(record.name), head, record.data)
        return b"".join(out)


def parse_name(text: str) -> Name:
    """The name that people write as `www.example.com` (a final dot is optional).

    Raises:
        ValueError: an empty or overlong label, or an overlong name.
    """
    bare = text.removesuffix(".")
    labels = (
        tuple(label.encode("idna" if not label.isascii() else "ascii") for label in bare.split("."))
        if bare
        else ()
    )
    if any(not 1 <= len(label) <= MAX_LABEL for label in labels) or _length(labels) > MAX_NAME:
        raise ValueError(f"{text!r} is not a domain name")
    return labels


def format_name(name: Name) -> str:
    """A name as people write it, without final dot; bytes that are not ASCII are escaped."""
    return ".".join(label.decode("ascii", "backslashreplace") for label in name)


def fold(name: Name) -> Name:
    """The form of a name that compares regardless of case."""
    return tuple(label.lower() for label in name)


def emit_name(name: Name) -> bytes:
    """The uncompressed bytes of a name."""
    return b"".join(bytes([len(label)]) + label for label in name) + b"\0"


def _length(name: Name) -> int:
    return sum(len(label) + 1 for label in name) + 1


class _Reader:
    """A position in a message."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def unpack(self, layout: struct.Struct) -> tuple[int, ...]:
        start = self._position
        self._take(layout.size)
        return layout.unpack_from(self._data, start)

    def question(self) -> Question:
        return Question(self.name(), *self.unpack(_QUESTION))

    def record(self) -> Record:
        name = self.name()
        kind, network, ttl_s, length = self.unpack(_RECORD)
        start = self._position
        self._take(length)
        data = self._expand(kind, start, start + length)
        return Record(name, kind, ttl_s, data, network)

    def name(self) -> Name:
        name, self._position = self._name_at(self._position)
        return name

    def _take(self, count: int) -> None:
        self._position += count
        if self._position > len(self._data):
            raise MalformedError("a DNS message that ends too early")

    def _expand(self, kind: int, start: int, end: int) -> bytes:
        """A record's data with the names in it uncompressed: they point into this message."""
        before, count = _NAMES_IN.get(kind, (0, 0))  # type: ignore[call-overload]
        position = start + before
        out = self._data[start:position]
        for _ in range(count):
            name, position = self._name_at(position)
            out += emit_name(name)
        if position > end:
            raise MalformedError("a DNS name that runs past its record")
        out += self._data[position:end]
        if len(out) > _MAX_DATA:
            raise MalformedError("a DNS record too long to be written without compression")
        return out

    def _name_at(self, position: int) -> tuple[Name, int]:
        """The name at `position`, and the position behind it."""
        labels: list[bytes] = []
        total, behind, limit = 1, -1, position
        while True:
            length = self._byte(position)
            if length == 0:
                return tuple(labels), position + 1 if behind < 0 else behind
            if length >= 0xC0:
                target = (length & 0x3F) << 8 | self._byte(position + 1)
                if target >= limit:
                    raise MalformedError("a DNS name that points forwards")
                behind = position + 2 if behind < 0 else behind
                position = limit = target
                continue
            label = self._data[position + 1 : position + 1 + length]
            total += length + 1
            if length > MAX_LABEL or len(label) < length or total > MAX_NAME:
                raise MalformedError("a DNS label or name that is too long")
            labels.append(label)
            position += length + 1

    def _byte(self, position: int) -> int:
        if position >= len(self._data):
            raise MalformedError("a DNS name that runs past the message")
        return self._data[position]
