import socket

import pytest
from msgspec.structs import replace

from sampan.errors import UsageError
from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.host.dial import dial
from sampan.net.runtime.host.race import Address
from sampan.net.runtime.service import proxied
from sampan.net.runtime.service import proxy as proxy_module
from sampan.net.runtime.service.proxy import ProxyHosts, ProxyService
from sampan.net.services.proxy import Proxy, Settings

WEB, TLS = (Endpoint(bytes([93, 184, 216, 34]), port) for port in (80, 443))


@pytest.fixture
def direct(monkeypatch, make_server):
    """Stands for whoever machines connect to without the proxy."""
    server = make_server()

    def redirected(family, address):
        if address[0] == "93.184.216.34":
            address = server.listener.getsockname()
        return dial(family, address)

    monkeypatch.setattr("sampan.net.runtime.host.race.dial", redirected)
    return server


@pytest.fixture
def proxy(make_server):
    return make_server()


@pytest.fixture
def settings(proxy):
    where = Proxy(host="127.0.0.1", port=proxy.listener.getsockname()[1], authorization="Basic x")
    return Settings(http=where, https=where, excludes=("excluded.example",))


@pytest.fixture
def make_service(net, settings):
    return lambda **fields: ProxyService(net.engine, net.outbound, settings, **fields)


@pytest.fixture
def service(make_service):
    return make_service()


@pytest.fixture
def passed(net, service):
    """The flows that the service leaves alone."""
    flows = []

    def take(flow, target, now):
        flows.append(flow)
        return True

    net.outbound.gates.detour.append(take)
    return flows


def head(server):
    """What the server was sent, up to the end of a head."""
    server.until(lambda: b"\r\n\r\n" in server.data)
    raw = bytes(server.data).partition(b"\r\n\r\n")[0]
    del server.data[: len(raw) + 4]
    return raw.decode().split("\r\n")


def test_request_gets_an_absolute_uri(net, service, proxy):
    connection = net.machine.connect(WEB)
    connection.send(b"GET /a HTTP/1.1\r\n").send(b"Host: www.example.com\r\n\r\n")
    assert head(proxy) == [
        "GET http://www.example.com/a HTTP/1.1", "Host: www.example.com",
        "Proxy-Authorization: Basic x",
    ]  # fmt: skip
    proxy.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    net.until(lambda: connection.data.endswith(b"hi"))
    connection.send(b"GET /b HTTP/1.1\r\nHost: www.example.com\r\n\r\n").finish()
    assert head(proxy)[0] == "GET http://www.example.com/b HTTP/1.1"
    proxy.until(lambda: proxy.is_ended)


def test_tunnel(net, service, proxy, client_hello):
    hello = client_hello("www.example.com")
    connection = net.machine.connect(TLS)
    connection.send(hello[:50]).send(hello[50:])
    assert head(proxy)[0] == "CONNECT www.example.com:443 HTTP/1.1"
    net.settle()
    proxy.poll()
    assert proxy.data == b""  # not before the tunnel is open
    connection.send(b"more")
    proxy.peer.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Connection")
    net.settle()
    proxy.peer.send(b" established\r\nVia: x\r\n\r\nserver hello")
    proxy.until(lambda: proxy.data == hello + b"more")
    net.until(lambda: connection.data == b"server hello")


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 407 No\r\n\r\n", b"nonsense\r\n\r\n", b"x" * 70_000, b""]
)
def test_tunnel_that_is_not_opened(net, service, proxy, client_hello, answer):
    connection = net.machine.connect(TLS).send(client_hello("www.example.com"))
    head(proxy)
    proxy.peer.send(answer)
    if not answer:
        proxy.peer.close()
    net.until(lambda: connection.state == "reset")


def test_tls_without_a_name(net, service, proxy):
    connection = net.machine.connect(TLS).send(b"SSH-2.0-x\r\n")
    assert head(proxy)[0] == "CONNECT 93.184.216.34:443 HTTP/1.1"
    proxy.peer.send(b"HTTP/1.0 200 OK\r\n\r\n")
    proxy.until(lambda: proxy.data == b"SSH-2.0-x\r\n")
    assert connection.data == b""


def test_server_that_speaks_first(net, service, direct):
    connection = net.machine.connect(WEB)
    net.until(lambda: connection.state == "open")
    net.advance(proxied.SILENCE_S + 0.1)
    direct.accepted().send(b"220 hello")
    net.until(lambda: connection.data == b"220 hello")


def test_silence_on_a_tunnel_port(net, service, proxy):
    connection = net.machine.connect(TLS)
    net.until(lambda: connection.state == "open")
    net.advance(proxied.SILENCE_S + 0.1)
    assert head(proxy)[0] == "CONNECT 93.184.216.34:443 HTTP/1.1"
    proxy.peer.send(b"HTTP/1.0 200 OK\r\n\r\nhello")
    net.until(lambda: connection.data == b"hello")


def test_what_is_no_http_goes_directly(net, service, proxy, direct):
    net.machine.connect(WEB).send(b"\x13BitTorrent").finish()
    direct.until(lambda: direct.is_ended)
    assert direct.data == b"\x13BitTorrent"


def test_excluded_by_the_name_in_it(net, service, direct, client_hello):
    request = b"GET / HTTP/1.1\r\nHost: excluded.example\r\n\r\n"
    net.machine.connect(WEB).send(request)
    direct.until(lambda: direct.data == request)


def test_excluded_by_its_server_name(net, service, direct, client_hello):
    hello = client_hello("www.excluded.example")
    net.machine.connect(TLS).send(hello)
    direct.until(lambda: direct.data == hello)


@pytest.mark.parametrize(
    ("names", "taken"),
    [((), True), (("a.excluded.example",), False), (("excluded.example", "other.example"), True)],
)
def test_excluded_by_all_the_names_a_machine_knows(net, service, passed, names, taken):
    """Such flows are not touched at all."""
    service._names = lambda machine, address: names
    connection = net.machine.connect(WEB)
    net.until(lambda: passed or connection.state == "open")
    assert bool(passed) is not taken


def test_other_ports_and_the_host_are_not_touched(net, service, passed, host_address):
    net.machine.connect(Endpoint(WEB.address, 8080))
    net.machine.connect(Endpoint(host_address, 80))
    net.until(lambda: len(passed) == 2)


def test_proxy_that_is_not_there(net, service, proxy):
    proxy.listener.close()
    connection = net.machine.connect(WEB)
    net.until(lambda: connection.state == "refused")


def test_proxy_that_has_no_address(net, service, monkeypatch, caplog):
    def fail(*_, **__):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    connections = [net.machine.connect(each) for each in (WEB, TLS)]
    net.until(lambda: all(each.state == "refused" for each in connections))
    assert "the proxy 127.0.0.1 cannot be found: " in caplog.text


def test_machine_that_leaves_without_a_word(net, service, proxy):
    connection = net.machine.connect(WEB)
    connection.send(b"GET").finish()
    net.until(lambda: connection.is_ended)
    proxy.until(lambda: proxy.is_ended)
    net.until(lambda: net.engine.stack.flows == ())


def test_machine_that_leaves_while_the_proxy_is_looked_up(net, service, monkeypatch):
    monkeypatch.setattr(net.loop, "in_thread", lambda work, then: None)
    connection = net.machine.connect(WEB)
    net.until(lambda: net.engine.stack.flows)
    net.engine.unplug(net.machine.plug)
    net.settle()
    for found in service._hosts._waiting.popitem()[1]:
        found(())
    assert connection.state == "opening"


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: forbidden.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: www.example.com:22\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: www.example.com:x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 2130706433\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 0x7f000001\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x.localhost\r\n\r\n",
        b"GET http://localhost/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"GET http://u@127.0.0.1/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"GET ftp://forbidden.example/ HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"CONNECT www.example.com:22 HTTP/1.1\r\nHost: www.example.com:22\r\n\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_the_machine_could_not_reach_by_itself(net, make_service, proxy, request_):
    make_service(permit=lambda flow, name: name != "forbidden.example")
    connection = net.machine.connect(WEB)
    connection.send(b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
    head(proxy)
    connection.send(request_)
    net.until(lambda: connection.state == "reset")
    proxy.until(lambda: proxy.is_reset)
    assert proxy.data == b""


def test_server_name_that_is_not_allowed(net, make_service, proxy, client_hello):
    make_service(permit=lambda flow, name: name != "forbidden.example")
    connection = net.machine.connect(TLS).send(client_hello("forbidden.example"))
    net.until(lambda: connection.state == "reset")


def test_what_is_allowed(net, make_service, proxy):
    make_service(permit=lambda flow, name: name == "www.example.com")
    connection = net.machine.connect(WEB)
    for request in (
        b"GET / HTTP/1.1\r\nHost: www.example.com:80\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: 93.184.216.34\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"CONNECT www.example.com:443 HTTP/1.1\r\nHost: www.example.com:443\r\n\r\n",
    ):
        connection.send(request)
        assert head(proxy)
    assert connection.state == "open"


def test_settings_may_change(net, service, passed):
    service.replace(Settings())
    assert service.settings == Settings()
    net.machine.connect(WEB)
    net.until(lambda: passed)


@pytest.fixture
def secure(tls_server, authority):
    """Settings of a proxy that wants TLS."""
    port = tls_server.listener.getsockname()[1]
    where = Proxy(host="127.0.0.1", port=port, tls=True, authorization="Basic x")
    return Settings(http=where, https=where, certificates=(authority,))


def test_request_to_a_proxy_over_tls(net, service, tls_server, secure):
    service.replace(secure)
    connection = net.machine.connect(WEB)
    tls_server.until(lambda: connection.state == "open")
    connection.send(b"GET /a HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
    assert head(tls_server)[0] == "GET http://www.example.com/a HTTP/1.1"
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000)
    tls_server.peer.send(answer)
    net.until(lambda: connection.data == answer)
    connection.finish()
    tls_server.until(lambda: tls_server.is_ended)
    tls_server.peer.close()
    net.until(lambda: connection.is_ended)


def test_tunnel_through_a_proxy_over_tls(net, service, tls_server, secure, client_hello):
    service.replace(secure)
    connection = net.machine.connect(TLS)
    hello = client_hello("www.example.com")
    connection.send(hello)
    assert head(tls_server)[0] == "CONNECT www.example.com:443 HTTP/1.1"
    assert tls_server.data == b""
    tls_server.peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
    tls_server.until(lambda: tls_server.data == hello)
    size = 4 << 20
    connection.send(bytes(size))
    tls_server.until(lambda: len(tls_server.data) == len(hello) + size)
    connection.reset()
    tls_server.until(lambda: tls_server.is_ended or tls_server.is_reset)
    assert net.engine.stack.flows == ()


def test_proxy_that_is_not_trusted(net, service, tls_server, secure, caplog):
    service.replace(replace(secure, certificates=()))
    for _ in range(2):
        connection = net.machine.connect(WEB)
        tls_server.until(lambda connection=connection: connection.state == "refused")
        tls_server.peer.close()
        tls_server.peer = None
    assert caplog.text.count("no TLS with the proxy 127.0.0.1: its certificate is not trusted") == 1


def test_files_of_authorities_are_read_at_once(service, secure, tmp_path):
    before = service.settings
    with pytest.raises(UsageError, match="none holds no CA certificates"):
        service.replace(replace(secure, certificates=(tmp_path / "none",)))
    assert service.settings == before


def test_a_proxy_is_looked_up_once_for_a_while(net, monkeypatch):
    calls: list[Proxy] = []
    found: list[tuple[Address, ...]] = []

    def look_up(proxy):
        calls.append(proxy)
        return (Address(socket.AF_INET, ("192.0.2.1", 3128)),)

    monkeypatch.setattr(proxy_module, "_look_up", look_up)
    hosts, proxy = ProxyHosts(net.loop), Proxy(host="proxy.example", port=3128)
    hosts.find(proxy, found.append)
    hosts.find(proxy, found.append)
    net.until(lambda: len(found) == 2)
    hosts.find(proxy, found.append)
    assert (len(found), len(calls)) == (3, 1)
    net.advance(proxy_module.FRESH_S + 1)
    hosts.find(proxy, found.append)
    net.until(lambda: len(found) == 4)
    assert len(calls) == 2
