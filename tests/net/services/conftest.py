"""A DNS conversation, written down: who asks, what the forwarder does, what servers answer."""

import itertools
import ssl
from collections.abc import Callable
from typing import Any

import dnslib
import pytest

from sampan.net.services.dns import Forwarder
from sampan.net.services.dnsmodel import Action, Client, Close, Config, Reply, SendQuery
from sampan.net.services.hosts import Book, Entry, Hosts
from sampan.net.services.resolver import Resolver, Server

ONE, TWO = Server("10.0.0.1"), Server("10.0.0.2", 5353)
GUEST = Client(bytes([192, 168, 65, 3]), 40000)


class Play:
    """A forwarder, the actions it wants carried out, and dnslib on both its sides."""

    def __init__(self, config: Config, **options: Any) -> None:
        self.book = Book(networks=["192.168.65.0/24"])
        self.book.replace("m", Hosts((Entry("192.168.65.3", ("web.sampan.internal", "web")),)))
        ids = itertools.count(100)
        self.dns = Forwarder(config, self.book, lambda: next(ids), **options)
        self.now = 1000.0

    def ask(
        self, name: str, kind: str = "A", *, client: Client = GUEST, edns: int = 0, ident: int = 7
    ) -> list[Action]:
        query = dnslib.DNSRecord.question(name, kind)
        query.header.id = ident
        if edns:
            query.add_ar(dnslib.EDNS0(udp_len=edns))
        self.dns.query_received(query.pack(), client, self.now)
        return self.dns.actions()

    def answer(
        self,
        sent: Action,
        zone: str = "",
        *,
        rcode: int = 0,
        tc: int = 0,
        auth: str = "",
        bare: bool = False,
    ) -> list[Action]:
        """What a server makes of a query that was sent to it."""
        assert isinstance(sent, SendQuery)
        reply = dnslib.DNSRecord.parse(sent.data).reply()
        reply.header.rcode, reply.header.tc, reply.header.aa = rcode, tc, 0
        if bare:
            reply.questions.clear()
        if zone:
            reply.add_answer(*dnslib.RR.fromZone(zone))
        if auth:
            reply.add_auth(*dnslib.RR.fromZone(auth))
        self.dns.answer_received(sent.exchange, reply.pack(), sent.server, self.now)
        return self.dns.actions()

    def tick(self) -> list[Action]:
        """Let time pass to the next timer."""
        due = self.dns.next_timer()
        assert due is not None
        self.now = due
        self.dns.timer_fired(self.now)
        return self.dns.actions()

    @staticmethod
    def reply(actions: list[Action]) -> dnslib.DNSRecord:
        """The only reply among actions, as dnslib reads it."""
        [reply] = [each for each in actions if isinstance(each, Reply)]
        return dnslib.DNSRecord.parse(reply.data)

    @staticmethod
    def sent(actions: list[Action]) -> list[SendQuery]:
        return [each for each in actions if isinstance(each, SendQuery)]

    @staticmethod
    def closed(actions: list[Action]) -> set[int]:
        return {each.exchange for each in actions if isinstance(each, Close)}


@pytest.fixture
def play() -> Play:
    return Play(Config(resolver=Resolver(servers=(ONE, TWO))))


@pytest.fixture
def make_play() -> type[Play]:
    return Play


@pytest.fixture(scope="session")
def client_hello() -> Callable[[str], bytes]:
    """What Python's own TLS sends first to a server of this name."""

    def hello(name: str) -> bytes:
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = ssl.create_default_context().wrap_bio(into, out, server_hostname=name)
        with pytest.raises(ssl.SSLWantReadError):
            connection.do_handshake()
        return out.read()

    return hello
