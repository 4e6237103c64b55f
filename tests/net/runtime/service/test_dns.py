import itertools
import socket
from contextlib import suppress

import dnslib
import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.service.dns import MAX_ADDED, DnsService
from sampan.net.runtime.service.source import Sources
from sampan.net.services.alias import Aliases
from sampan.net.services.dnsmodel import Verdict
from sampan.net.services.dnsshare import MAX_EXCHANGES_OF_ONE
from sampan.net.services.dnsstream import Decoder, frame
from sampan.net.services.resolver import Resolver, Server
from sampan.net.wire.address import parse_ip

GATEWAY = Endpoint(parse_ip("192.168.65.1"), 53)
_ids = itertools.count(1)


def question(name, kind="A"):
    query = dnslib.DNSRecord.question(name, kind)
    query.header.id = next(_ids)
    return query


def _both():
    """A UDP and a TCP socket on one port."""
    for _ in range(100):
        tcp = socket.create_server(("127.0.0.1", 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with suppress(OSError):
            udp.bind(tcp.getsockname())
            return udp, tcp
        tcp.close()
        udp.close()
    raise AssertionError("no port is free for both")


class NameServer:
    """A DNS server on the host's loopback interface, over UDP and TCP, answered by hand."""

    def __init__(self):
        self.udp, self.tcp = _both()
        self.udp.setblocking(False)
        self.tcp.setblocking(False)
        self.server = Server("127.0.0.1", self.udp.getsockname()[1])
        self.asked = []  # (query, how to answer it)
        self.connections = []

    def poll(self):
        with suppress(BlockingIOError):
            data, peer = self.udp.recvfrom(65535)
            self.asked.append(
                (dnslib.DNSRecord.parse(data), lambda raw: self.udp.sendto(raw, peer))
            )
        with suppress(OSError):  # a test may have closed it
            connection, _ = self.tcp.accept()
            connection.setblocking(False)
            self.connections.append((connection, Decoder()))
        for connection, decoder in self.connections:
            with suppress(BlockingIOError):
                for data in decoder.received(connection.recv(65535)):
                    send = connection.sendall
                    self.asked.append(
                        (dnslib.DNSRecord.parse(data), lambda raw, send=send: send(frame(raw)))
                    )
        return True

    def answer(self, zone="", *, truncated=False):
        query, send = self.asked.pop(0)
        reply = query.reply()
        reply.header.tc = truncated
        if zone:
            reply.add_answer(*dnslib.RR.fromZone(zone))
        send(reply.pack())
        return query

    def close(self):
        for each in (self.udp, self.tcp, *(connection for connection, _ in self.connections)):
            each.close()


@pytest.fixture
def upstream():
    server = NameServer()
    yield server
    server.close()


@pytest.fixture
def aliases():
    return Aliases()


@pytest.fixture
def make_service(net, book, aliases):
    def make(*servers, **fields):
        fields.setdefault("hosts", ())
        if servers:
            fields["resolver"] = Resolver(servers=servers, timeout_s=1)
        service = DnsService(net.engine, net.outbound, book, Sources(**fields), aliases)
        net.closing.append(service.close)
        return service

    return make


@pytest.fixture
def service(make_service, upstream):
    return make_service(upstream.server)


@pytest.fixture
def ask(net):
    def go(name, kind="A", *, to=GATEWAY, source=None):
        query = question(name, kind)
        net.machine.udp(query.pack(), to, source=source)
        return query

    return go


@pytest.fixture
def reply(net):
    """The next datagram that the machine gets, as dnslib reads it."""

    def go():
        net.until(lambda: net.machine.datagrams)
        return dnslib.DNSRecord.parse(net.machine.datagrams.pop(0).payload)

    return go


@pytest.fixture
def wait_for(net, upstream):
    return lambda condition: net.until(lambda: upstream.poll() and condition())


def test_names_of_ours(net, service, ask, reply):
    query = ask("host.sampan.internal")
    found = reply()
    assert found.header.id == query.header.id
    assert str(found.a.rdata) == "192.168.65.254"


def test_question_goes_out_and_the_answer_back(net, service, ask, reply, upstream, wait_for):
    ask("www.example.com")
    wait_for(lambda: upstream.asked)
    upstream.answer("www.example.com 60 A 192.0.2.80")
    assert str(reply().a.rdata) == "192.0.2.80"
    assert service._upstream._open == {}
    ask("www.example.com")
    assert str(reply().a.rdata) == "192.0.2.80"  # out of the cache


def test_what_was_learnt_is_told(net, service, ask, reply, upstream, wait_for, aliases):
    seen = []
    service.observers.append(lambda event, now: seen.append(event))
    ask("www.example.com")
    wait_for(lambda: upstream.asked)
    upstream.answer("www.example.com 60 A 192.0.2.80")
    reply()
    assert [each.via for each in seen] == ["127.0.0.1"]
    names = aliases.names(net.machine.ip, parse_ip("192.0.2.80"), net.now())
    assert names == ("www.example.com",)


def test_over_ipv6(net, service):
    source = parse_ip("fdc0:a841:6500::33")
    query = question("host.sampan.internal")
    net.machine.udp(query.pack(), Endpoint(net.network.gateway6, 53), source=source)
    net.until(lambda: net.machine.datagrams)
    [datagram] = net.machine.datagrams
    assert datagram.source == Endpoint(net.network.gateway6, 53)
    assert datagram.destination.address == source
    assert dnslib.DNSRecord.parse(datagram.payload).header.id == query.header.id


def test_the_address_that_was_asked_answers(net, service, ask, host_address):
    ask("host.sampan.internal", to=Endpoint(host_address, 53))
    net.until(lambda: net.machine.datagrams)
    assert net.machine.datagrams[0].source == Endpoint(host_address, 53)


def test_nobody_is_answered_by_broadcast(net, service, ask):
    ask("host.sampan.internal", to=Endpoint(b"\xff\xff\xff\xff", 53))
    ask("host.sampan.internal", source=bytes(4))
    net.settle()
    assert net.machine.datagrams == []


def test_server_that_refuses(net, make_service, ask, reply):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        unused.connect(("127.0.0.1", 9))  # it hears nobody else, and nobody else gets the port
        make_service(Server("127.0.0.1", unused.getsockname()[1]))
        ask("www.example.com")
        assert reply().header.rcode == 2


def test_server_that_cannot_be_reached_at_all(net, make_service, ask, reply):
    make_service(Server("255.255.255.255"), Server("fe80::1%nowhere"))
    ask("www.example.com")
    assert reply().header.rcode == 2


def test_server_that_says_nothing(net, service, ask, reply, upstream, wait_for):
    ask("www.example.com")
    wait_for(lambda: upstream.asked)
    net.advance(1.1)
    wait_for(lambda: len(upstream.asked) == 2)
    net.advance(1.1)
    assert reply().header.rcode == 2
    assert service._upstream._open == {}


def test_truncated_answer_is_asked_for_over_tcp(net, service, ask, reply, upstream, wait_for):
    ask("big.example.com", "TXT")
    wait_for(lambda: upstream.asked)
    upstream.answer(truncated=True)
    wait_for(lambda: upstream.asked)
    assert upstream.connections
    upstream.answer('big.example.com 60 TXT "large"')
    assert str(reply().rr[0].rdata) == '"large"'
    assert service._upstream._open == {}


def test_server_without_tcp(net, service, ask, reply, upstream, wait_for):
    upstream.tcp.close()
    ask("big.example.com")
    wait_for(lambda: upstream.asked)
    upstream.answer("big.example.com 60 A 192.0.2.1", truncated=True)
    assert str(reply().a.rdata) == "192.0.2.1"


def test_server_that_ends_the_connection(net, service, ask, reply, upstream, wait_for):
    ask("big.example.com")
    wait_for(lambda: upstream.asked)
    upstream.answer(truncated=True)
    wait_for(lambda: upstream.connections)
    upstream.connections.pop()[0].close()
    assert reply().header.tc


def test_machine_asks_over_tcp(net, service, upstream, wait_for):
    connection = net.machine.connect(GATEWAY)
    local, outside = question("host.sampan.internal"), question("www.example.com")
    connection.send(frame(outside.pack()) + frame(local.pack())).finish()
    wait_for(lambda: upstream.asked)
    upstream.answer("www.example.com 60 A 192.0.2.80")
    net.until(lambda: connection.is_ended)
    found = [dnslib.DNSRecord.parse(each) for each in Decoder().received(bytes(connection.data))]
    assert [each.header.id for each in found] == [local.header.id, outside.header.id]
    net.until(lambda: net.engine.stack.flows == ())
    assert service._talks == {}


def test_machine_that_leaves_before_the_answer(net, service, upstream, wait_for):
    connection = net.machine.connect(GATEWAY)
    connection.send(frame(question("www.example.com").pack()))
    wait_for(lambda: upstream.asked)
    connection.reset()
    net.settle()
    assert service._talks == {}
    upstream.answer("www.example.com 60 A 192.0.2.80")
    net.until(lambda: service._upstream._open == {})


def test_machine_that_connects_and_says_nothing(net, service):
    connection = net.machine.connect(GATEWAY)
    net.until(lambda: connection.state == "open")
    net.advance(20)
    connection.send(b"\0")
    net.settle()
    net.advance(20)
    net.settle()
    assert not connection.is_ended
    net.advance(20)
    net.until(lambda: connection.is_ended)


def test_gates(net, service, ask, reply, upstream, wait_for):
    refused = Verdict(answer=dnslib_failure())
    service.gates.append(lambda client, question: None)
    service.gates.append(lambda client, question: refused if question.name[-1] == b"evil" else None)
    ask("www.evil")
    assert reply().header.rcode == 5
    ask("www.good")
    wait_for(lambda: upstream.asked)


def dnslib_failure():
    from sampan.net.services import dnsanswer

    return dnsanswer.failure(5)


def test_names_added_and_removed(net, service, ask, reply):
    service.add("Db.example.com", "192.168.65.9")
    service.add("db.example.com", "192.168.65.10")
    ask("db.example.com")
    assert [str(each.rdata) for each in reply().rr] == ["192.168.65.9", "192.168.65.10"]
    assert [each.address for each in service.added.entries] == ["192.168.65.9", "192.168.65.10"]
    assert service.remove("DB.example.com")
    assert not service.remove("db.example.com")
    assert service.added.entries == ()


@pytest.mark.parametrize(("name", "address"), [("", "10.0.0.1"), ("x", "nowhere"), ("a..b", "::1")])
def test_names_that_cannot_be_added(service, name, address):
    with pytest.raises(ValueError, match=r"is not|does not|cannot be"):
        service.add(name, address)
    assert service.added.entries == ()


def test_added_names_are_bounded(service):
    service._added = {str(number): ("10.0.0.1",) for number in range(MAX_ADDED)}
    with pytest.raises(ValueError, match="cannot be added"):
        service.add("more", "10.0.0.1")


def test_host_gets_other_resolvers(net, make_service, ask, reply, upstream, wait_for, tmp_path):
    path = tmp_path / "resolv.conf"
    path.write_text("options timeout:5\n")
    service = make_service(configuration=path)
    ask("www.example.com")
    assert reply().header.rcode == 2  # nobody to ask
    path.write_text("nameserver 127.0.0.1\nsearch corp.example\n")
    net.advance(5)
    assert service.config.resolver.servers == (Server("127.0.0.1"),)
    assert service.config.resolver.search == ("corp.example",)


def test_open_questions_are_asked_anew(net, make_service, ask, reply, upstream, wait_for):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        service = make_service(Server("127.0.0.1", silent.getsockname()[1]))
        ask("www.example.com")
        net.settle()
        resolver = Resolver(servers=(upstream.server,))
        service.replace(Sources(resolver=resolver, hosts=()))
        wait_for(lambda: upstream.asked)
        upstream.answer("www.example.com 60 A 192.0.2.80")
        assert str(reply().a.rdata) == "192.0.2.80"


def test_hosts_file(net, make_service, ask, reply, tmp_path, upstream):
    path = tmp_path / "hosts"
    path.write_text("127.0.1.1 laptop\n")
    make_service(upstream.server, hosts=(path,), loopback="192.168.65.254")
    ask("laptop")
    assert str(reply().a.rdata) == "192.168.65.254"
    path.write_text("127.0.1.1 laptop\n10.0.0.9 nas\n")
    net.advance(1.1)
    ask("nas")
    assert str(reply().a.rdata) == "10.0.0.9"


def test_a_spray_costs_only_itself(net, service, upstream, caplog):
    """A machine with many addresses asks for a thousand names; the other gets its answer."""
    other = net.add(bytes([192, 168, 65, 9]))
    for number in range(1000):
        source = bytes([192, 168, 65, 10 + number % 40])
        net.machine.udp(question(f"n{number}.test").pack(), GATEWAY, source=source)
        upstream.poll()  # its socket has not much room
    assert len(service._upstream._open) == MAX_EXCHANGES_OF_ONE
    assert caplog.text.count("asks for too many names") == 1
    other.udp(question("www.test").pack(), GATEWAY)
    net.until(lambda: upstream.poll() and len(upstream.asked) > MAX_EXCHANGES_OF_ONE)
    del upstream.asked[:-1]
    upstream.answer("www.test. 60 A 192.0.2.7")
    net.until(lambda: other.datagrams)
    answer = dnslib.DNSRecord.parse(other.datagrams[0].payload)
    assert str(answer.a.rdata) == "192.0.2.7"
