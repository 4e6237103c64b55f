import socket
from contextlib import suppress

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.hook import (
    Delay,
    Hooks,
    Refuse,
    Resolve,
    Respond,
    Rewrite,
    on_dns,
    on_flow,
    on_http_request,
)
from sampan.net.runtime.view.hooked import Hooked, Knowledge
from sampan.net.runtime.view.inquiry import Inquiry
from sampan.net.services.dnsmodel import Client
from sampan.net.wire.dns import Question, ResponseCode, Type
from sampan.net.wire.icmpv4 import Echo
from sampan.net.wire.ipv4 import Protocol

OUTSIDE = bytes([93, 184, 216, 34])
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
BAD = b"GET /bad HTTP/1.1\r\nHost: x\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
FORBIDDEN = b"HTTP/1.1 403 Forbidden\r\n"


class Server:
    """The host's side: what it got, and what it says when somebody connects."""

    def __init__(self, net):
        self.net = net
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.peer = None
        self.data = b""

    @property
    def port(self):
        return self.listener.getsockname()[1]

    def look(self):
        with suppress(BlockingIOError, ConnectionResetError):
            if self.peer is None:
                self.peer = self.listener.accept()[0]
                self.peer.setblocking(False)
            self.data += self.peer.recv(1 << 16)

    def until(self, condition):
        self.net.until(lambda: self.look() or condition())

    def close(self):
        self.listener.close()
        if self.peer is not None:
            self.peer.close()


@pytest.fixture
def server(net):
    found = Server(net)
    yield found
    found.close()


@pytest.fixture
def refused():
    return []


@pytest.fixture
def use(net, refused):
    """Puts hooks in front of the outside."""

    def use(*hooks):
        knowledge = Knowledge(
            names=lambda machine, address: ("example.com",) if address == OUTSIDE else (),
            machine_name=lambda address: "web",
            refused=lambda flow, verdict: refused.append(verdict),
        )
        hooked = Hooked(net.outbound, Inquiry(Hooks(hooks)), knowledge)
        net.outbound.gates.detour.append(hooked.detour)
        net.outbound.gates.udp.append(hooked.udp)
        net.outbound.gates.echo.append(hooked.echo)
        return hooked

    return use


@pytest.fixture
def connect(net, server, host_address):
    def connect(address=host_address):
        connection = net.machine.connect(Endpoint(address, server.port))
        net.until(lambda: connection.state != "opening")
        return connection

    return connect


def test_without_hooks_nothing_stands_in_the_way(use, connect, server, net):
    use()
    connect().send(GET)
    server.until(lambda: server.data == GET)
    [flow] = net.engine.stack.flows
    assert type(flow.context).__name__ == "HostTcp"


def test_a_flow_that_is_refused(use, connect, refused, net):
    seen = []

    @on_flow
    def no(info):
        seen.append(info)
        return Refuse("not there")

    use(no)
    assert connect(OUTSIDE).state == "refused"
    assert refused == ["hook: not there"]
    [info] = seen
    assert (info.machine, info.machine_name, info.protocol) == ("192.168.65.3", "web", "tcp")
    assert (info.address, info.names) == ("93.184.216.34", ("example.com",))
    assert not net.engine.stack.flows


def test_a_flow_that_is_led_elsewhere(use, connect, server):
    use(on_flow(lambda info: Rewrite(info.replace(address="192.168.65.254"))))
    connect(OUTSIDE).send(b"hello")
    server.until(lambda: server.data == b"hello")


def test_a_flow_that_is_led_nowhere(use, net):
    use(on_flow(lambda info: Rewrite(info.replace(address="127.0.0.1"))))
    net.machine.connect(Endpoint(OUTSIDE, 80))
    net.until(lambda: net.machine.unreachable)
    assert not net.engine.stack.flows


def test_a_flow_that_has_to_wait(use, net, server, host_address):
    use(on_flow(lambda info: Delay(5)))
    connection = net.machine.connect(Endpoint(host_address, server.port))
    net.settle()
    assert connection.state == "opening"
    net.advance(6)
    net.until(lambda: connection.state == "open")


@pytest.mark.parametrize("hook", [on_flow(lambda info: Delay(5)), on_http_request(lambda _: None)])
def test_the_way_by_a_proxy_is_still_taken(use, net, server, host_address, hook):
    use(hook)
    taken = []

    def proxy(flow, target, now):
        taken.append(flow)
        return True

    net.outbound.gates.detour.append(proxy)
    net.machine.connect(Endpoint(host_address, server.port))
    net.advance(6)
    assert len(taken) == 1


def test_a_flow_that_ends_while_it_waits(use, net, server, host_address):
    use(on_flow(lambda info: Delay(5)))
    net.machine.connect(Endpoint(host_address, server.port)).reset()
    net.advance(6)
    net.settle()
    server.look()
    assert server.peer is None


def test_datagrams_and_pings(use, net, refused):
    use(on_flow(lambda info: Refuse() if info.protocol == "udp" else Delay(1)))
    net.machine.udp(b"question", Endpoint(OUTSIDE, 9))
    ping = Echo(False, 1, 1, b"12345678").emit()
    net.machine.packet(Protocol.ICMP, ping, net.machine.ip, OUTSIDE)
    net.until(lambda: len(net.machine.unreachable) == 2)
    assert refused == ["hook: refused by a hook"]


def test_datagrams_pass_without_hooks_for_flows(use, net, host_address):
    use(on_http_request(lambda request: None))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(60)
        net.machine.udp(b"question", Endpoint(host_address, peer.getsockname()[1]))
        assert peer.recv(100) == b"question"


def test_requests_are_changed_on_their_way(use, connect, server):
    use(on_http_request(lambda request: Rewrite(request.with_header("X-By", request.flow.machine))))
    connection = connect().send(GET)
    server.until(lambda: server.data.endswith(b"X-By: 192.168.65.3\r\n\r\n"))
    server.peer.sendall(OK)
    server.until(lambda: connection.data == OK)


def test_requests_are_refused_and_others_are_not(use, connect, server):
    use(on_http_request(lambda request: Refuse("no") if request.target == "/bad" else None))
    connection = connect().send(BAD + GET)
    server.until(lambda: server.data == GET and connection.data.startswith(FORBIDDEN))
    server.peer.sendall(OK)
    server.until(lambda: connection.data.endswith(b"no\n" + OK))


def test_requests_are_answered_and_the_connection_ends(use, connect, server):
    use(on_http_request(lambda request: Respond(body=b"mine")))
    connection = connect().send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n12")
    server.until(lambda: connection.is_ended)
    assert connection.data.endswith(b"Connection: close\r\n\r\nmine")
    connection.send(b"3456789").finish()
    server.look()
    assert server.data == b""


def test_requests_have_to_wait(use, net, connect, server):
    use(on_http_request(lambda request: Delay(5) if request.target == "/bad" else None))
    connect().send(BAD + GET)
    net.settle()
    server.look()
    assert server.data == b""
    net.advance(6)
    server.until(lambda: server.data == BAD + GET)


def test_a_connection_that_ends_while_a_request_waits(use, net, connect, server):
    use(on_http_request(lambda request: Delay(5)))
    connection = connect().send(GET)
    net.settle()
    connection.reset()
    net.advance(6)
    server.look()
    assert server.data == b""


def test_what_waits_and_is_malformed_ends_the_connection(use, net, connect, server):
    use(on_http_request(lambda request: Delay(5)))
    connection = connect().send(GET + b"what?\r\n\r\n")
    net.settle()
    net.advance(6)
    net.until(lambda: connection.state == "reset")


@pytest.mark.parametrize("data", [b"\x16\x03\x01 hello", b"SSH-2.0-x\r\n"])
def test_what_is_not_http_passes(use, connect, server, data):
    use(on_http_request(lambda request: Refuse()))
    connection = connect().send(data)
    server.until(lambda: server.data == data)
    server.peer.sendall(b"answer")
    server.until(lambda: connection.data == b"answer")
    connection.send(BAD)
    server.until(lambda: server.data == data + BAD)


def test_a_hook_that_fails_costs_its_request_only(use, connect, server, caplog):
    @on_http_request
    def broken(request):
        if request.target == "/bad":
            raise KeyError("oh")

    use(broken)
    connection = connect().send(BAD + GET)
    server.until(lambda: server.data == GET and connection.data.startswith(FORBIDDEN))
    assert "KeyError" in caplog.text


CLIENT = Client(bytes([192, 168, 65, 3]), 5)
QUESTION = Question((b"a", b"example"), Type.A)


def test_names_without_hooks_for_them(use):
    assert use(on_flow(lambda info: Refuse())).name(CLIENT, QUESTION) is None
    assert use(on_dns(lambda query: None)).name(CLIENT, QUESTION) is None


def test_names_that_are_refused_or_answered(use):
    refused = use(on_dns(lambda query: Refuse())).name(CLIENT, QUESTION)
    assert refused.answer.code == ResponseCode.REFUSED
    answered = use(on_dns(lambda query: Resolve(("192.0.2.1",)))).name(CLIENT, QUESTION)
    assert [each.data for each in answered.answer.answers] == [bytes([192, 0, 2, 1])]


def test_names_that_have_to_wait_or_mean_others(use):
    delayed = use(on_dns(lambda query: Delay(2))).name(CLIENT, QUESTION)
    assert (delayed.delay_s, delayed.question, delayed.answer) == (2, None, None)
    other = use(on_dns(lambda query: Rewrite(query.replace(name="b.example"))))
    assert other.name(CLIENT, QUESTION).question == Question((b"b", b"example"), Type.A)
