"""The values that go in and out of the DNS forwarder: its configuration, actions and events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from sampan.net.services.resolver import Resolver, Server
from sampan.net.wire.dns import Message, Question


class Split(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A domain with servers of its own."""

    domain: str
    servers: tuple[Server, ...]


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to ask."""

    resolver: Resolver = Resolver()
    splits: tuple[Split, ...] = ()


@dataclass(frozen=True, slots=True)
class Client:
    """Who asked: where the reply goes.

    `connection` tells TCP connections apart; for datagrams, which of our addresses was asked.
    `link` is the number of the link that the machine is on, whatever address it says it has.
    """

    address: bytes
    port: int
    over_tcp: bool = False
    connection: int = 0
    link: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to become of a machine's question.

    `answer` is given without asking anybody; `question` is asked instead, and the machine told
    that the one name is an alias of the other. Either after `delay_s` seconds.
    """

    answer: Message | None = None
    question: Question | None = None
    delay_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SendQuery:
    """Send `data` to `server`, on the socket of `exchange` if it has one, else on a new one.

    Over TCP the length in front is the caller's to add (`dnsstream.frame`).
    """

    exchange: int
    server: Server
    data: bytes
    over_tcp: bool


@dataclass(frozen=True, slots=True)
class Close:
    """The exchange is over: close its socket."""

    exchange: int


@dataclass(frozen=True, slots=True)
class Reply:
    """Send `data` to `client`; over TCP the length in front is the caller's to add."""

    client: Client
    data: bytes


Action: TypeAlias = SendQuery | Close | Reply


@dataclass(frozen=True, slots=True)
class Resolved:
    """A machine got an answer.

    `via` is "local", "cache", "refused", "failed", "limited" (a failure, because too much is being
    asked), "intercepted" or a server's address.
    """

    client: Client
    question: Question
    answer: Message
    via: str
