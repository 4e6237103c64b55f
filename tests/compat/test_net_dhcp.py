"""The DHCP clients of Debian: what they make of a lease, and that they keep it."""

import ipaddress
import json
import os
import signal
import socket

import pytest

pytestmark = pytest.mark.compat
GATEWAY = "192.168.65.1"
MTU = 1400
UDP = 17
CLIENTS = ["dhclient", "udhcpc", "dhcpcd"]


@pytest.fixture
def network(new_network):
    return new_network(mtu=MTU, search=("example.test",), hosts_files=())


@pytest.fixture
def fresh(network, tmp_path):
    """A machine without an address, whose /etc/resolv.conf and state are its own."""
    machine = network.machine(configure=False)
    machine.ip("link set tap0 mtu 1500")
    (tmp_path / "resolv.conf").write_text("")
    machine.run(["mount", "--bind", tmp_path / "resolv.conf", "/etc/resolv.conf"])
    for folder in ("/run", "/var/lib"):
        machine.run(["mount", "-t", "tmpfs", "none", folder])
    machine.run(["mkdir", "-p", "/var/lib/dhcp", "/var/lib/dhcpcd", "/run/dhcpcd"])
    machine.resolv_conf = tmp_path / "resolv.conf"
    machine.ip("link set tap0 up")
    return machine


def _argv(client, folder):
    """How each is called so that it tells its name and takes all that is offered."""
    (folder / "dhclient.conf").write_text(
        'send host-name "webserver"; request subnet-mask, routers, domain-name, domain-search, '
        "domain-name-servers, interface-mtu;"
    )
    return {
        "dhclient": ["dhclient", "-4", "-1", "-d", "-cf", folder / "dhclient.conf", "tap0"],
        "udhcpc": [
            "udhcpc", "-i", "tap0", "-f", "-O", "search", "-O", "mtu", "-x", "hostname:webserver",
        ],
        "dhcpcd": ["dhcpcd", "-4", "-B", "-h", "webserver", "-o", "interface_mtu", "tap0"],
    }[client]  # fmt: skip


def _state(machine):
    """The device's address (or none), MTU, and the gateway."""
    [device] = json.loads(machine.ip("-j address show dev tap0"))
    found = [each["local"] for each in device["addr_info"] if each["family"] == "inet"]
    gateways = [route["gateway"] for route in json.loads(machine.ip("-j route show default"))]
    return (found[0] if found else None), device["mtu"], gateways


@pytest.fixture
def configured(fresh, background, wait_until, tmp_path):
    """Has a client configure the fresh machine; gives its address."""

    def run(client):
        if client == "dhclient" and os.geteuid():
            pytest.skip("dhclient's script changes owners, so it needs root")
        # the script of Debian's udhcpc knows a domain, but no list of them
        domain = "sampan.internal" if client == "udhcpc" else "example.test"

        def is_done():
            text = fresh.resolv_conf.read_text()
            return _state(fresh)[2] and f"nameserver {GATEWAY}" in text and domain in text

        fresh.started = [background(fresh, _argv(client, tmp_path))]
        wait_until(is_done, "lease, with the resolver and its domain")
        return _state(fresh)[0]

    return run


@pytest.mark.parametrize("client", CLIENTS)
def test_a_lease_and_all_that_comes_with_it(fresh, configured, client):
    address = configured(client)
    assert ipaddress.ip_address(address) in ipaddress.ip_network("192.168.65.0/24")
    found, mtu, gateways = _state(fresh)
    assert (found, gateways) == (address, [GATEWAY])
    assert mtu == MTU or f"mtu {MTU}" in fresh.ip("route show default")  # dhcpcd: of the routes
    assert "host.sampan.internal" in fresh.run(["dig", "-x", "192.168.65.254"]).stdout


@pytest.mark.parametrize("client", CLIENTS)
def test_a_machine_is_found_by_the_name_it_gave(network, configured, client):
    address = configured(client)
    other = network.machine()
    said = other.run(["dig", f"@{GATEWAY}", "+short", "webserver.sampan.internal"]).stdout
    assert said.strip() == address


def test_a_lease_is_renewed_by_unicast(fresh, configured, wait_until):
    configured("udhcpc")
    [child] = fresh.started
    before = _state(fresh)
    with fresh.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3)) as wire:
        wire.bind(("tap0", 3))
        child.send_signal(signal.SIGUSR1)
        mine, router = socket.inet_aton(before[0]), socket.inet_aton(GATEWAY)
        for source, destination in ((mine, router), (router, mine)):
            while (packet := wire.recv(2000))[12:20] != source + destination or packet[9] != UDP:
                pass
    wait_until(lambda: _state(fresh) == before, "address, MTU and gateway as before")
