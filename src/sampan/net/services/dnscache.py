"""Answers that a DNS forwarder need not ask for again (RFC 1035, 7.4; RFC 2308; RFC 8767 not).

An answer lives as long as the shortest of its records; one that says "there is no such thing"
as long as the SOA record in it allows, and not at all without one. Failures are not kept.

Bounded in entries and in bytes; what has not been used for longest goes first. Time is an
argument, in seconds of any clock that does not go back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sampan.net.wire.dns import Message, Name, Question, Record, ResponseCode, Type, fold

MAX_ENTRIES = 4096
MAX_BYTES = 4 << 20
MAX_POSITIVE_S = 86_400
MAX_NEGATIVE_S = 10_800  # RFC 2308, 5
_RECORD_COST = 64  # what a record takes beside its name and data, roughly


@dataclass(frozen=True, slots=True)
class Key:
    """What was asked: the folded name, the type, and whether signatures were asked for."""

    name: Name
    kind: int
    signed: bool = False

    @classmethod
    def of(cls, question: Question, *, signed: bool = False) -> Key:
        """The key of a question."""
        return cls(fold(question.name), question.kind, signed)


@dataclass(frozen=True, slots=True)
class _Stored:
    message: Message
    since: float
    until: float
    size_bytes: int


class Cache:
    """Answers by what was asked."""

    def __init__(self, *, max_entries: int = MAX_ENTRIES, max_bytes: int = MAX_BYTES) -> None:
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._stored: dict[Key, _Stored] = {}  # the least recently used first
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._stored)

    def get(self, key: Key, now: float) -> Message | None:
        """The answer to `key`, its times to live counted down; None if there is none alive."""
        stored = self._stored.get(key)
        if stored is None:
            return None
        if stored.until <= now:
            self._drop(key)
            return None
        self._stored[key] = self._stored.pop(key)
        return _aged(stored.message, int(now - stored.since))

    def put(self, key: Key, message: Message, now: float) -> None:
        """Keep an answer, if it may be kept."""
        self._drop(key)
        lifetime_s = lifetime(key, message)
        size = sum(map(_cost, (*message.answers, *message.authorities, *message.additional)))
        if lifetime_s <= 0 or size > self._max_bytes // 16:
            return
        self._stored[key] = _Stored(message, now, now + lifetime_s, size)
        self._bytes += size
        while len(self._stored) > self._max_entries or self._bytes > self._max_bytes:
            self._drop(next(iter(self._stored)))

    def clear(self) -> None:
        """Forget everything, because other servers are asked from now on."""
        self._stored.clear()
        self._bytes = 0

    def _drop(self, key: Key) -> None:
        stored = self._stored.pop(key, None)
        if stored is not None:
            self._bytes -= stored.size_bytes


def lifetime(key: Key, message: Message) -> int:
    """How many seconds an answer to `key` may be kept; 0 for not at all."""
    if message.truncated or message.code not in (ResponseCode.NO_ERROR, ResponseCode.NAME_ERROR):
        return 0
    times = [_seconds(record.ttl_s) for record in message.answers]
    limit = MAX_POSITIVE_S
    found = any(key.kind in (record.kind, Type.ANY) for record in message.answers)
    if message.code == ResponseCode.NAME_ERROR or not found:
        authority = next((each for each in message.authorities if each.kind == Type.SOA), None)
        if authority is None or len(authority.data) < 20:
            return 0
        minimum = int.from_bytes(authority.data[-4:], "big")
        times += [_seconds(authority.ttl_s), _seconds(minimum)]
        limit = MAX_NEGATIVE_S
    return min(limit, *times)


def _seconds(ttl_s: int) -> int:
    """A time to live; with the top bit set it means 0 (RFC 2181, 8)."""
    return ttl_s if ttl_s < 1 << 31 else 0


def _cost(record: Record) -> int:
    return _RECORD_COST + sum(len(label) + 1 for label in record.name) + len(record.data)


def _aged(message: Message, age_s: int) -> Message:
    def older(records: tuple[Record, ...]) -> tuple[Record, ...]:
        return tuple(replace(each, ttl_s=max(0, _seconds(each.ttl_s) - age_s)) for each in records)

    return replace(
        message,
        answers=older(message.answers),
        authorities=older(message.authorities),
        additional=older(message.additional),
    )
