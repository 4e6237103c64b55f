"""IPv6 as the Linux kernel does it: router advertisements, neighbours, connections, errors."""

import errno
import hashlib
import json
import socket

import pytest

from sampan.net.runtime.host.route import Target

pytestmark = pytest.mark.compat
PREFIX, GATEWAY, HOST = "fdc0:a841:6500:", "fdc0:a841:6500::1", "fdc0:a841:6500::fe"


@pytest.fixture
def advertised(machine, wait_until):
    """The address that the machine made of the router's advertisement."""

    def address():
        [device] = json.loads(machine.ip("-j -6 address show dev tap0"))
        found = [each for each in device["addr_info"] if each["local"].startswith(PREFIX)]
        return [each["local"] for each in found if not each.get("tentative")]

    wait_until(address, "address")
    return address()[0]


def test_a_machine_configures_itself(machine, advertised):
    [route] = json.loads(machine.ip("-j -6 route show default"))
    assert route["gateway"].startswith("fe80:")
    assert "2 received" in machine.run(["ping", "-c2", "-i0.05", "-W60", GATEWAY]).stdout


def test_a_connection_to_the_host(machine, advertised, host_server):
    data = hashlib.shake_256(b"six").digest(1 << 22)
    port = host_server(lambda connection: connection.sendall(data), "::1")
    found = hashlib.sha256()
    with machine.connect(HOST, port) as connection:
        while part := connection.recv(1 << 18):
            found.update(part)
    assert found.digest() == hashlib.sha256(data).digest()


@pytest.mark.parametrize("size", [1, 1452, 1453, 30_000])
def test_datagrams_with_fragments(machine, advertised, size):
    data = hashlib.shake_256(b"datagram").digest(size)
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.bind(("::1", 0))
        server.settimeout(60)
        with machine.socket(socket.AF_INET6, socket.SOCK_DGRAM) as inside:
            inside.sendto(data, (HOST, server.getsockname()[1]))
            got, sender = server.recvfrom(65535)
            assert got == data
            server.sendto(got[::-1], sender)
            assert inside.recv(65535) == data[::-1]


def test_refused_at_once(machine, advertised):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        port = server.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        machine.connect(HOST, port)


@pytest.mark.parametrize("machines", ["2001:db8::1", "198.51.100.1"], ids=["IPv6", "IPv4"])
def test_no_way_out_is_told_at_once(virtual_network, machine, advertised, machines):
    """The host's side leads to where no kernel has a route for TCP."""

    def lead_nowhere(assembly):
        assembly.router.target = lambda _: Target(socket.AF_INET, "255.255.255.255")

    virtual_network.call(lead_nowhere)
    with pytest.raises(OSError, match=r"unreachable|No route") as failure:
        machine.connect(machines, 9)
    assert failure.value.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH)


def test_machines_reach_one_another(virtual_network, machine, advertised, wait_until):
    other = virtual_network.machine()
    other.ip(f"address add {PREFIX}:77/64 dev tap0 nodad")
    with machine.socket(socket.AF_INET6) as server:
        server.bind(("::", 8000))
        server.listen()
        with other.connect(advertised, 8000) as connection:
            inside, _ = server.accept()
            with inside:
                inside.sendall(b"neighbour")
                assert connection.recv(100) == b"neighbour"
