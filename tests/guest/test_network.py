"""A machine on a network of its own, connected as `sampan run` does it: one boot for each link."""

import hashlib
import http.server
import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress

import dnslib
import dnslib.server
import pytest

from sampan.desktop.link import Link
from sampan.desktop.network import Options
from sampan.machine import Ending
from sampan.net.runtime.control.client import Client
from sampan.net.services import forward
from sampan.net.services.resolver import Resolver, Server
from sampan.net.setting import Settings

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
ADDRESS, HOST, HOST6 = "192.168.65.77", "192.168.65.254", "fdc0:a841:6500::fe"
SIZE = 8 << 20
DATA = os.urandom(1 << 20) * (SIZE >> 20)


class Web(http.server.BaseHTTPRequestHandler):
    """Gives DATA to who asks for it, and the digest of what it is sent."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(DATA if self.path == "/data" else b"a page of the host\n")

    def do_POST(self):
        digest = hashlib.md5(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(f"{digest.hexdigest()}\n".encode())

    def log_message(self, *_):
        pass


class Web6(http.server.ThreadingHTTPServer):
    address_family: int = socket.AF_INET6


@pytest.fixture(scope="module")
def web():
    """The port of a web server on the host's loopback interface, of both families."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web) as four:
        port = four.server_address[1]
        with Web6(("::1", port), Web) as six:
            for server in (four, six):
                threading.Thread(target=server.serve_forever, daemon=True).start()
            yield port
            four.shutdown()
            six.shutdown()


class Names:
    def resolve(self, request, _):
        reply = request.reply()
        if str(request.q.qname) == "outside.example.":
            reply.add_answer(*dnslib.RR.fromZone("outside.example. 60 A 203.0.113.9"))
        else:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        return reply


@pytest.fixture(scope="module")
def resolver():
    """A name server of the world outside, on the host's loopback interface."""
    logger = dnslib.server.DNSLogger(log="-request,-reply,-truncated,-error")
    server = dnslib.server.DNSServer(Names(), address="127.0.0.1", port=0, logger=logger)
    server.start_thread()
    ours = Server("127.0.0.1", server.server.server_address[1])
    yield Resolver(servers=(ours,), timeout_s=60)
    server.stop()
    server.server.server_close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("n")


@pytest.fixture(scope="module", params=[Link.STREAM, Link.VHOST_USER])
def system(request, boot, resolver, folder):
    connect = Options(
        link=request.param,
        publish=("0:80", "0:7", "0:7/udp", f"{folder}/web:80"),
        address=ADDRESS,
        settings=Settings(resolver=resolver),
        control_folder=folder,
    )
    with boot("network", mem_mib=192, connect=connect, name="web") as running:
        running.wait_for("running, .* after boot")
        page, echo, datagrams, _ = running.connected.published
        running.page, running.echo, running.datagrams = (
            ("127.0.0.1", each.host_port) for each in (page, echo, datagrams)
        )
        running.control = Client(folder / f"{running.connected.name}.sock")
        yield running


def get(host, port):
    """A page of the machine; a server that was started a moment ago may not listen yet."""
    deadline = time.monotonic() + 300
    while True:
        try:
            return urllib.request.urlopen(f"http://{host}:{port}/", timeout=300).read()
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline


def test_its_address(system):
    assert f"inet {ADDRESS}/24" in system.run("ip -4 addr show eth0")
    assert "default via 192.168.65.1" in system.run("ip route")
    assert "nameserver 192.168.65.1" in system.run("cat /etc/resolv.conf")
    [lease] = system.control.leases()
    assert lease.address == ADDRESS


def test_names(system):
    assert HOST in system.run("nslookup host.sampan.internal")
    assert ADDRESS in system.run("nslookup web.sampan.internal")
    assert "203.0.113.9" in system.run("nslookup outside.example")
    assert "NXDOMAIN" in system.run("nslookup nobody.example")


def test_it_pings_the_gateway(system):
    assert "2 packets received" in system.run("ping -c 2 192.168.65.1")
    assert "2 packets received" in system.run("ping6 -c 2 fdc0:a841:6500::1")


def test_it_reaches_the_hosts_loopback(system, web):
    for host in (HOST, "host.sampan.internal", "host.docker.internal", f"[{HOST6}]"):
        assert "a page of the host" in system.run(f"wget -q -O - http://{host}:{web}/"), host


def test_what_refuses_is_refused_at_once(system):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        shown = system.run(f"timeout 30 wget -O - http://{HOST}:{port}/; echo status $?")
    assert "Connection refused" in shown
    assert "status 1" in shown


def test_its_page(system, folder):
    assert b"Hello from a network" in get(*system.page)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/web")
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with client.makefile("rb") as stream:
            assert b"Hello from a network" in stream.read()


def test_its_page_over_ipv6(system):
    shown = system.run(
        "until ip -6 addr show eth0 scope global | grep -q fdc0; do sleep 0.5; done;"
        " ip -6 addr show eth0 scope global"
    )
    address = re.search(r"inet6 (fdc0:a841:6500:[0-9a-f:]+)/64", shown)[1]
    [port] = system.control.expose(*forward.parse(f"[::1]:0:[{address}]:80"))
    assert b"Hello from a network" in get("[::1]", port.port)


@pytest.mark.parametrize("size", [1, 1400, 8000])
def test_datagrams(system, size):
    """A server that was started a moment ago may not listen yet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(60)
        for _ in range(30):
            client.sendto(DATA[:size], system.datagrams)
            with suppress(TimeoutError):
                assert client.recv(65536) == DATA[:size]
                return
    pytest.fail("nobody answers")


def test_much_data_comes_whole(system, web):
    wanted = hashlib.md5(DATA).hexdigest()
    assert wanted in system.run(f"wget -q -O - http://{HOST}:{web}/data | md5sum")


def test_much_data_goes_whole(system, web):
    system.run(f"head -c {SIZE} /dev/urandom | base64 > /tmp/data")
    [mine] = re.findall(r"[0-9a-f]{32}", system.run("md5sum < /tmp/data"))
    assert mine in system.run(f"wget -q -O - --post-file /tmp/data http://{HOST}:{web}/")


def test_much_data_in_both_directions_at_once(system):
    """Through a published port: what is sent comes back, then the connection's end."""
    with socket.create_connection(system.echo, timeout=300) as client:

        def send():
            client.sendall(DATA)
            client.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        back = hashlib.md5()
        while data := client.recv(1 << 20):
            back.update(data)
        sender.join()
    assert back.digest() == hashlib.md5(DATA).digest()


def test_it_can_be_looked_into(system):
    assert system.control.info().name == "web"
    [link] = system.control.links()
    assert (link.name, link.sent > SIZE) == ("web", True)


def test_it_powers_off(system):
    assert system.machine.power_off(deadline_s=300).ending is Ending.POWERED_OFF
