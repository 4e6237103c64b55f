"""Machines in memory, on a real engine: they speak frames, and the host's side is real sockets.

net.machine            a machine at 192.168.65.3; `net.add(ip)` makes more
machine.udp(...)       sends a datagram; what came is in `machine.datagrams`
machine.connect(...)   opens a connection: `.data`, `.send`, `.finish`, `.state`
machine.listening      its open ports; who connects is in `machine.accepted`
net.until(condition)   turns the loop until it holds
net.advance(seconds)   lets time pass
"""

import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from sampan.base.loop import Loop
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.network import Network
from sampan.net.core.port import Frame as Sent
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.host.race import Address
from sampan.net.runtime.host.route import HostAccess, Router
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.wire import address, arp, ethernet, icmpv4
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.ipv6 import Ipv6
from sampan.net.wire.tcp import Flag, Options, Segment
from sampan.net.wire.udp import Udp

PATIENCE_S = 60
MASK = 0xFFFFFFFF
HOST = bytes([192, 168, 65, 254])
METADATA = bytes([169, 254, 169, 254])


@dataclass
class Datagram:
    source: Endpoint
    destination: Endpoint
    payload: bytes
    mac: bytes


@dataclass
class Connection:
    """A machine's side of a TCP connection, over links that lose nothing."""

    machine: "Machine"
    own: Endpoint
    remote: Endpoint
    window: int = 65535
    state: str = "opening"  # open, refused, reset
    is_ended: bool = False  # the other side said all
    data: bytearray = field(default_factory=bytearray)
    sequence: int = 1000
    acknowledged: int = 1000
    next: int = 0
    peer_window: int = 0
    waiting: bytearray = field(default_factory=bytearray)
    finishing: bool = False

    def send(self, data: bytes) -> "Connection":
        self.waiting += data
        self._push()
        return self

    def finish(self) -> "Connection":
        self.finishing = True
        self._push()
        return self

    def reset(self) -> None:
        self._segment(Flag.RST | Flag.ACK)
        self.state = "reset"

    def open_window(self, size: int) -> None:
        self.window = size
        self._segment(Flag.ACK)

    def _push(self) -> None:
        while self.state == "open" and self.waiting:
            room = self.peer_window - ((self.sequence - self.acknowledged) & MASK)
            part = bytes(self.waiting[: max(0, min(1460, room))])
            if not part:
                return
            del self.waiting[: len(part)]
            self._segment(Flag.ACK | Flag.PSH, part)
        if self.state == "open" and self.finishing and not self.waiting:
            self.finishing = False
            self._segment(Flag.FIN | Flag.ACK)

    def _segment(self, flags: int, payload: bytes = b"") -> None:
        options = Options(mss=1460) if flags & Flag.SYN else Options()
        segment = Segment(
            self.own.port, self.remote.port, self.sequence, self.next, Flag(flags), self.window,
            options, payload,
        )  # fmt: skip
        self.sequence = (self.sequence + segment.length) & MASK
        data = segment.emit(self.own.address, self.remote.address)
        self.machine.packet(Protocol.TCP, data, self.own.address, self.remote.address)

    def open(self) -> "Connection":
        self._segment(Flag.SYN)
        return self

    def accept(self, segment: Segment) -> "Connection":
        self.next, self.peer_window = (segment.sequence + 1) & MASK, segment.window
        self._segment(Flag.SYN | Flag.ACK)
        self.state = "open"
        return self

    def refuse(self, segment: Segment) -> None:
        self.next = (segment.sequence + segment.length) & MASK
        self.sequence = 0
        self._segment(Flag.RST | Flag.ACK)

    def received(self, segment: Segment) -> None:
        if segment.flags & Flag.RST:
            self.state = "refused" if self.state == "opening" else "reset"
            return
        if segment.flags & Flag.SYN:
            self.state, self.next = "open", segment.sequence
        if segment.sequence == self.next and segment.length:
            self.next = (self.next + segment.length) & MASK
            self.data += segment.payload
            self.is_ended |= bool(segment.flags & Flag.FIN)
        self.acknowledged = segment.acknowledgment
        self.peer_window = segment.window
        if segment.length:
            self._segment(Flag.ACK)
        self._push()


class Machine:
    """A link with a machine at its end."""

    head = 0

    def __init__(self, engine: Engine, mac: bytes, ip: bytes) -> None:
        self.engine = engine
        self.mac, self.ip = mac, ip
        self.datagrams: list[Datagram] = []
        self.unreachable: list[Any] = []
        self.connections: dict[tuple[Endpoint, Endpoint], Connection] = {}
        self.listening: set[int] = set()
        self.accepted: list[Connection] = []
        self._queue: list[bytes] = []
        self._port = 40000
        self.plug = engine.plug(self, name=f"machine {ip.hex()}")

    def start(self, plug: Any) -> None:
        """See `engine.Link`."""

    def close(self) -> None:
        """See `engine.Link`."""

    def send(self, frames: list[Sent]) -> None:
        self._queue += [b"".join(map(bytes, frame)) for frame in frames]
        self.engine.loop.call_soon(self._look)

    def _look(self) -> None:
        queue, self._queue = self._queue, []
        for data in queue:
            frame = Frame.parse(data)
            if frame.ethertype == EtherType.ARP:
                self._asked(arp.Arp.parse(frame.payload))
            elif frame.ethertype == EtherType.IPV4:
                self._packet(frame, Ipv4.parse(frame.payload))
            elif frame.ethertype == EtherType.IPV6:
                self._packet(frame, Ipv6.parse(frame.payload))

    def _packet(self, frame: Frame, packet: Ipv4 | Ipv6) -> None:
        source, destination = packet.source, packet.destination
        if packet.protocol == Protocol.UDP:
            udp = Udp.parse(packet.payload, source, destination)
            ends = Endpoint(source, udp.source_port), Endpoint(destination, udp.destination_port)
            self.datagrams.append(Datagram(*ends, udp.payload, frame.destination))
        elif packet.protocol == Protocol.TCP:
            segment = Segment.parse(packet.payload, source, destination)
            own = Endpoint(destination, segment.destination_port)
            remote = Endpoint(source, segment.source_port)
            connection = self.connections.get((own, remote))
            if connection is not None:
                connection.received(segment)
            elif segment.flags & Flag.SYN:
                self._wanted(Connection(self, own, remote), segment)
        elif packet.protocol == Protocol.ICMP:
            self.unreachable.append(icmpv4.parse(packet.payload))

    def _asked(self, question: arp.Arp) -> None:
        if question.operation == arp.Operation.REQUEST and question.target_ip == self.ip:
            answer = arp.Arp(
                arp.Operation.REPLY, self.mac, self.ip, question.sender_mac, question.sender_ip
            )
            self.frame(Frame(question.sender_mac, self.mac, EtherType.ARP, answer.emit()))

    def _wanted(self, connection: Connection, segment: Segment) -> None:
        if connection.own.port in self.listening:
            self.connections[connection.own, connection.remote] = connection
            self.accepted.append(connection.accept(segment))
        else:
            connection.refuse(segment)

    def frame(self, frame: Frame) -> None:
        data = memoryview(bytearray(frame.emit()))
        self.engine.received(self.plug.port, [data])

    def packet(self, protocol: int, payload: bytes, source: bytes, destination: bytes) -> None:
        six = len(source) == 16
        layer: Any = Ipv6 if six else Ipv4
        to = self.engine.stack.network.mac
        if destination == address.BROADCAST_IPV4:
            to = address.BROADCAST_MAC
        packet = layer(source, destination, protocol, payload)
        kind = EtherType.IPV6 if six else EtherType.IPV4
        self.frame(ethernet.Frame(to, self.mac, kind, packet.emit()))

    def udp(
        self, payload: bytes, destination: Endpoint, *, port: int = 0, source: bytes | None = None
    ) -> Endpoint:
        ip = self.ip if source is None else source
        own = Endpoint(ip, port or self._next_port())
        data = Udp(own.port, destination.port, payload).emit(ip, destination.address)
        self.packet(Protocol.UDP, data, ip, destination.address)
        return own

    def ping(
        self, address: bytes, identifier: int = 1, sequence: int = 1, payload: bytes = b""
    ) -> None:
        echo = icmpv4.Echo(False, identifier, sequence, payload)
        self.packet(Protocol.ICMP, echo.emit(), self.ip, address)

    def connect(self, remote: Endpoint, *, window: int = 65535) -> Connection:
        own = Endpoint(self.ip, self._next_port())
        connection = Connection(self, own, remote, window)
        self.connections[own, remote] = connection
        return connection.open()

    def _next_port(self) -> int:
        self._port += 1
        return self._port


class Net:
    """An engine with sockets of the host behind it, and machines in front."""

    def __init__(self, network: Network) -> None:
        self.loop = Loop()
        self._ahead = 0.0
        self.loop.now = lambda: time.monotonic() + self._ahead
        self.engine = Engine(self.loop, network)
        self.router = Router(network, frozenset({HOST}), HostAccess.ALL)
        self.outbound = HostOutbound(self.engine, self.router)
        self.engine.outbound = self.outbound
        self.closing: list[Callable[[], None]] = []
        self.machine = self.add(bytes([192, 168, 65, 3]))

    @property
    def network(self) -> Network:
        return self.engine.stack.network

    def add(self, ip: bytes) -> Machine:
        number = len(self.engine.plugs) + 1
        return Machine(self.engine, bytes([2, 0, 0, 0, 0, number]), ip)

    def now(self) -> float:
        return self.loop.now()

    def advance(self, seconds: float) -> None:
        self._ahead += seconds
        self.loop.run_once(0.0)

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            self.loop.run_once(0.02)

    def settle(self) -> None:
        """Turn until nothing more is said, for what must not happen."""
        for _ in range(5):
            self.loop.run_once(0.0)

    def close(self) -> None:
        for call in self.closing:
            call()
        for plug in list(self.engine.plugs.values()):
            self.engine.unplug(plug)
        self.engine.act(self.now())
        self.outbound.close()
        self.loop.close()


class Server:
    """A listening socket of the host, and the one connection it took."""

    def __init__(self, net):
        self.net = net
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.peer = None
        self.data = bytearray()
        self.is_ended = self.is_reset = False

    @property
    def target(self):
        return Address(socket.AF_INET, self.listener.getsockname())

    def poll(self):
        if self.peer is None:
            with suppress(BlockingIOError):
                self.peer = self.listener.accept()[0]
                self.peer.setblocking(False)
            return True
        with suppress(BlockingIOError):
            try:
                data = self.peer.recv(1 << 20)
            except ConnectionResetError:
                self.is_reset = True
            else:
                self.data += data
                self.is_ended |= not data
        return True

    def accepted(self):
        self.net.until(lambda: self.poll() and self.peer is not None)
        return self.peer

    def until(self, condition):
        self.net.until(lambda: self.poll() and condition())

    def close(self):
        self.listener.close()
        if self.peer is not None:
            self.peer.close()


class TlsServer(Server):
    """A server that wants TLS."""

    def __init__(self, net, context):
        super().__init__(net)
        self.context = context
        self.error = None

    def poll(self):
        if self.peer is None:
            super().poll()
            self.wrap()
            return True
        with suppress(ssl.SSLWantReadError):
            try:
                self.peer.do_handshake()
                while not (self.is_ended or self.is_reset):  # a record at a time
                    super().poll()
            except ssl.SSLWantReadError:
                raise
            except OSError as error:  # the client does not like us
                self.error = error
        return True

    def wrap(self):
        if self.peer is not None:
            self.peer = self.context.wrap_socket(
                self.peer, server_side=True, do_handshake_on_connect=False
            )


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """The certificate of a server at 127.0.0.1, whose CA it is itself; its key is key.pem."""
    folder = tmp_path_factory.mktemp("authority")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", "key.pem", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test",
         "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder / "ca.pem"


@pytest.fixture(scope="session")
def server_context(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority, authority.with_name("key.pem"))
    return context


@pytest.fixture
def make_net():
    made: list[Net] = []

    def make(**fields: Any) -> Net:
        local = frozenset({bytes([192, 168, 65, 1]), HOST, METADATA})
        made.append(Net(Network(**{"local": local, **fields})))
        return made[-1]

    yield make
    for net in made:
        net.close()


@pytest.fixture
def net(make_net):
    return make_net()


@pytest.fixture
def host_address() -> bytes:
    """The address under which machines reach the host's loopback interface."""
    return HOST


@pytest.fixture
def make_server(net):
    made = []

    def make():
        made.append(Server(net))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def server(make_server):
    return make_server()


@pytest.fixture
def tls_server(net, server_context):
    made = TlsServer(net, server_context)
    yield made
    made.close()


@pytest.fixture
def closed():
    """An address where nobody listens, and nobody else can."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield Address(socket.AF_INET, bound.getsockname())
