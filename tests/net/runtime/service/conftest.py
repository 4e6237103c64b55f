import ssl
from typing import Any

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.services.hosts import GATEWAY_NAMES, HOST_NAMES, Book, network_names
from sampan.net.wire.address import ANY_IPV4, BROADCAST_IPV4
from sampan.net.wire.dhcpv4 import Code, Dhcp, MessageType
from sampan.net.wire.dns import parse_name


class Client:
    """A DHCP client on a machine."""

    def __init__(self, net: Any, machine: Any, name: str = "") -> None:
        self.net, self.machine, self.name = net, machine, name

    def ask(self, kind: MessageType, *, source: bytes = ANY_IPV4, **options: bytes) -> Dhcp | None:
        """Send a message, and the answer if there is one."""
        raw: dict[int, bytes] = {Code.MESSAGE_TYPE: bytes([kind])}
        if self.name:
            raw[Code.HOST_NAME] = self.name.encode()
        raw |= {Code[key.upper()]: value for key, value in options.items()}
        message = Dhcp(True, 7, self.machine.mac, client=source, options=raw)
        self.send(message.emit(), source)
        return Dhcp.parse(self.machine.datagrams.pop().payload) if self.machine.datagrams else None

    def send(self, data: bytes, source: bytes = ANY_IPV4) -> None:
        to = Endpoint(BROADCAST_IPV4, 67)
        self.machine.udp(data, to, port=68, source=source)
        self.net.settle()

    def lease(self) -> bytes:
        """The address it is given."""
        offer = self.ask(MessageType.DISCOVER)
        assert offer is not None
        answer = self.ask(
            MessageType.REQUEST, requested_address=offer.yours, server_id=offer.options[54]
        )
        assert answer is not None
        assert answer.message_type is MessageType.ACK
        return answer.yours


@pytest.fixture
def make_client(net):
    return lambda machine=None, name="": Client(net, machine or net.machine, name)


@pytest.fixture
def book() -> Book:
    book = Book(networks=["192.168.65.0/24"])
    book.replace("network", network_names(["192.168.65.254"], ["192.168.65.1"]))
    assert book.addresses(parse_name(HOST_NAMES[0]))
    assert book.addresses(parse_name(GATEWAY_NAMES[0]))
    return book


@pytest.fixture
def resolve(book):
    """The addresses of a name in the book."""
    return lambda name: book.addresses(parse_name(name))


@pytest.fixture(scope="session")
def client_hello():
    """What Python's own TLS sends first to a server of this name."""

    def hello(name: str) -> bytes:
        into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = ssl.create_default_context().wrap_bio(into, out, server_hostname=name)
        with pytest.raises(ssl.SSLWantReadError):
            connection.do_handshake()
        return out.read()

    return hello
