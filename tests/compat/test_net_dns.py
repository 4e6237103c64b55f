"""dig against the network's resolver, with a DNS server of another make on the host behind it."""

import dnslib
import dnslib.server
import pytest

from sampan.net.services.resolver import Resolver, Server

pytestmark = pytest.mark.compat
GATEWAY, HOST = "192.168.65.1", "192.168.65.254"
GATEWAY6 = "fdc0:a841:6500::1"
ZONE = {
    ("www.test.", "A"): [dnslib.A("192.0.2.7")],
    ("www.test.", "AAAA"): [dnslib.AAAA("2001:db8::7")],
    ("big.test.", "TXT"): [dnslib.TXT("x" * 200 + str(n)) for n in range(20)],
    ("empty.test.", "A"): [],
}


class Zone(dnslib.server.BaseResolver):  # type: ignore[misc]
    """Answers from ZONE, and counts the questions."""

    def __init__(self):
        self.asked = []

    def resolve(self, request, handler):
        name, kind = str(request.q.qname).lower(), dnslib.QTYPE[request.q.qtype]
        self.asked.append((name, kind, handler.protocol))
        reply = request.reply()
        answers = ZONE.get((name, kind))
        if answers is None:
            reply.header.rcode = dnslib.RCODE.NXDOMAIN
        for answer in answers or ():
            reply.add_answer(dnslib.RR(request.q.qname, request.q.qtype, ttl=60, rdata=answer))
        if handler.protocol == "udp" and len(reply.pack()) > 512:
            reply.rr, reply.header.tc = [], 1
        return reply


@pytest.fixture
def zone():
    """A DNS server on the host, over UDP and TCP."""
    zone = Zone()
    quiet = dnslib.server.DNSLogger("-request,-reply,-truncated,-error,-recv,-send,-data")
    over_tcp = dnslib.server.DNSServer(zone, address="127.0.0.1", port=0, tcp=True, logger=quiet)
    zone.port = over_tcp.server.server_address[1]
    over_udp = dnslib.server.DNSServer(zone, address="127.0.0.1", port=zone.port, logger=quiet)
    for server in (over_tcp, over_udp):
        server.start_thread()
    yield zone
    for server in (over_tcp, over_udp):
        server.stop()
        server.server.server_close()
        server.thread.join()


@pytest.fixture
def network(new_network, zone):
    resolver = Resolver(servers=(Server("127.0.0.1", zone.port),), timeout_s=60)
    return new_network(resolver=resolver, hosts_files=())


@pytest.fixture
def asking(network):
    """The machine that asks."""
    return network.machine()


@pytest.fixture
def dig(asking):
    """What dig says in a machine: the status and the answers."""

    def run(*arguments, server=GATEWAY):
        argv = ["dig", f"@{server}", "+time=60", "+tries=1", "+noall", "+answer", "+comments"]
        said = asking.run([*argv, *arguments]).stdout
        status = said.partition("status: ")[2].partition(",")[0]
        answers = [line.split()[4:] for line in said.splitlines() if line and line[0] != ";"]
        return status, sorted(" ".join(each).strip('"') for each in answers)

    return run


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_a_name_of_outside(dig, transport):
    assert dig("www.test", transport) == ("NOERROR", ["192.0.2.7"])
    assert dig("www.test", "AAAA", transport) == ("NOERROR", ["2001:db8::7"])


@pytest.mark.parametrize("transport", ["+notcp", "+tcp"])
def test_a_name_that_does_not_exist(dig, transport):
    assert dig("nobody.test", transport) == ("NXDOMAIN", [])
    assert dig("empty.test", transport) == ("NOERROR", [])


@pytest.mark.parametrize("bufsize", [512, 1232, 4096])
def test_an_answer_that_is_too_large_comes_by_tcp(dig, bufsize):
    status, answers = dig("big.test", "TXT", f"+bufsize={bufsize}")
    assert (status, len(answers)) == ("NOERROR", 20)


def test_an_answer_is_kept(dig, zone):
    for _ in range(3):
        assert dig("www.test")[0] == "NOERROR"
    assert len(zone.asked) == 1


@pytest.mark.parametrize("name", ["host.docker.internal", "host.sampan.internal", "vpnkit.host"])
def test_the_hosts_names(dig, name, zone):
    assert dig(name) == ("NOERROR", [HOST])
    assert dig("-x", HOST)[1] == ["host.sampan.internal."]
    assert zone.asked == []


def test_our_domain_does_not_leak(dig, zone):
    assert dig("secret.sampan.internal")[0] == "NXDOMAIN"
    assert dig("-x", "192.168.65.77")[0] == "NXDOMAIN"
    assert zone.asked == []


def test_over_ipv6(dig, asking):
    asking.ip("address add fdc0:a841:6500::77/64 dev tap0 nodad")
    assert dig("www.test", server=GATEWAY6) == ("NOERROR", ["192.0.2.7"])
    assert dig("www.test", "+tcp", server=GATEWAY6) == ("NOERROR", ["192.0.2.7"])


def test_with_edns_cookies_and_padding(dig):
    assert dig("www.test", "+ednsopt=12:00", "+cookie", "+dnssec") == ("NOERROR", ["192.0.2.7"])


def test_nobody_to_ask(new_network):
    network = new_network(resolver=Resolver(), hosts_files=())
    machine = network.machine()
    said = machine.run(["dig", f"@{GATEWAY}", "+time=60", "+tries=1", "www.test"]).stdout
    assert "status: SERVFAIL" in said or "status: REFUSED" in said
