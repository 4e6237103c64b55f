"""Fuzz target: the DNS forwarder, from both of its sides, and streams of messages."""

from __future__ import annotations

from sampan.net.services.dns import Forwarder
from sampan.net.services.dnsmodel import Client, Config, Reply, SendQuery
from sampan.net.services.dnsstream import Decoder
from sampan.net.services.hosts import Book, Hosts, machine_names
from sampan.net.services.resolver import Resolver, Server
from sampan.net.wire.dns import Message

_CONFIG = Config(resolver=Resolver(servers=(Server("10.0.0.1"), Server("10.0.0.2"))))
_GUEST = Client(bytes([192, 168, 65, 3]), 40000)
_TCP = Client(bytes([192, 168, 65, 3]), 40000, over_tcp=True)


def one(data: bytes) -> None:
    """Ask `data`, as it is and as a stream; answer every query with `data`, under its id too.

    Raises:
        AssertionError: a reply cannot be read, is too long, or something is left behind.
    """
    book = Book(networks=["192.168.65.0/24"])
    book.replace("machines", machine_names([("web", "192.168.65.3")]))
    book.replace("hosts", Hosts())
    dns = Forwarder(_CONFIG, book, lambda: 0x1234)
    dns.query_received(data, _GUEST, 0)
    for message in Decoder().received(data):
        dns.query_received(message, _TCP, 0)
    for _ in range(4):
        for action in dns.actions():
            if isinstance(action, SendQuery):
                for answer in (
                    data,
                    b"\x12\x34\x80" + data[3:],
                    action.data[:2] + b"\x80" + data[3:],
                ):
                    dns.answer_received(action.exchange, answer, action.server, 1)
            elif isinstance(action, Reply):
                Message.parse(action.data)
                if len(action.data) > 0xFFFF:
                    raise AssertionError(f"a reply of {len(action.data)} bytes")
    for _ in range(10):
        due = dns.next_timer()
        if due is None:
            return
        dns.timer_fired(due)
    raise AssertionError("a question that is never answered")
