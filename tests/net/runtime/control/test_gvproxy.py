import json
import socket

import pytest

from sampan.net.runtime.control.model import NameRecord
from sampan.net.services.forward import Forward, Protocol


@pytest.fixture
def post(ask):
    return lambda path, **said: ask("POST", path, json.dumps(said).encode())


@pytest.fixture
def get(ask):
    return lambda path: json.loads(ask("GET", path).body)


EXPOSE, UNEXPOSE = "/services/forwarder/expose", "/services/forwarder/unexpose"


@pytest.mark.parametrize(
    ("said", "forward"),
    [
        (
            {"local": ":8080", "remote": "192.168.65.3:80", "protocol": "tcp"},
            Forward(bind="0.0.0.0", port=8080, guest="192.168.65.3", guest_port=80),
        ),
        (
            {"local": "127.0.0.1:53", "remote": "192.168.65.3:53", "protocol": "udp"},
            Forward(port=53, guest="192.168.65.3", guest_port=53, protocol=Protocol.UDP),
        ),
        ({"local": "[::1]:1", "remote": ":2"}, Forward(bind="::1", port=1, guest_port=2)),
        (
            {"local": "/run/d.sock", "remote": "tcp://192.168.65.3:2375", "protocol": "unix"},
            Forward(path="/run/d.sock", guest="192.168.65.3", guest_port=2375),
        ),
        (
            {"local": "unix:///run/d.sock", "remote": "tcp://192.168.65.3:1", "protocol": "unix"},
            Forward(path="/run/d.sock", guest="192.168.65.3", guest_port=1),
        ),
    ],
)
def test_expose_list_and_unexpose(post, get, network, said, forward):
    assert post(EXPOSE, **said).status == 200
    assert network.listening == [forward]
    (listed,) = get("/services/forwarder/all")
    assert listed["protocol"] == said.get("protocol", "tcp")
    assert post(UNEXPOSE, local=said["local"], protocol=listed["protocol"]).status == 200
    assert network.listening == []
    assert post(UNEXPOSE, local=said["local"], protocol=listed["protocol"]).status == 404


def test_how_forwards_are_listed(get, network):
    network.listening += [
        Forward(port=8080, guest="192.168.65.3", guest_port=80),
        Forward(path="/run/x", guest="fd00::3", guest_port=80),
    ]
    assert get("/services/forwarder/all") == [
        {"local": "127.0.0.1:8080", "remote": "192.168.65.3:80", "protocol": "tcp"},
        {"local": "/run/x", "remote": "tcp://[fd00::3]:80", "protocol": "unix"},
    ]


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"local": ":8080", "remote": "x:1", "protocol": "npipe"}, 501),
        ({"local": "/x", "remote": "ssh-tunnel://a:22/b", "protocol": "unix"}, 501),
        ({"local": "8080", "remote": "192.168.65.3:80"}, 400),
        ({"local": ":8080", "remote": "80"}, 400),
        ({"local": ":1-2", "remote": "192.168.65.3:1-2"}, 400),
        ({"local": ":7777", "remote": "192.168.65.3:80"}, 409),
        ({"remote": "192.168.65.3:80"}, 400),
    ],
)
def test_forwards_that_cannot_be(post, network, said, status):
    answer = post(EXPOSE, **said)
    assert (answer.status, network.listening) == (status, [])


@pytest.mark.parametrize("spell", [str, str.lower])
def test_names(post, get, network, spell):
    record = {spell("Name"): "db", spell("IP"): "192.168.65.9"}
    said = {spell("Name"): "apps.internal.", spell("Records"): [record, record]}
    assert post("/services/dns/add", **said).status == 200
    wanted = NameRecord(name="db.apps.internal", addresses=("192.168.65.9",) * 2)
    assert network.names() == (wanted,)
    (zone,) = get("/services/dns/all")
    assert zone["Name"] == "apps.internal."
    assert zone["Records"][0] == {"Name": "db", "IP": "192.168.65.9"}


@pytest.mark.parametrize(
    ("said", "status"),
    [
        ({"Name": "a.", "DefaultIP": "192.168.65.9"}, 501),
        ({"Name": "a.", "Records": [{"Regexp": ".*", "IP": "192.168.65.9"}]}, 501),
        ({"Records": []}, 400),
        ({"Name": 3}, 400),
        ({"Name": "a.", "Records": None}, 200),
    ],
)
def test_zones_that_cannot_be(post, network, said, status):
    assert post("/services/dns/add", **said).status == status
    assert network.known == {}


def test_a_zone_that_is_no_json(ask):
    assert ask("POST", "/services/dns/add", b"{").status == 400
    assert ask("POST", "/services/dns/add", b"[" * 100_000).status == 400


def test_leases_and_switch(get):
    assert get("/services/dhcp/leases") == get("/leases") == {"192.168.65.3": "02:00:00:00:00:01"}
    assert get("/cam") == {"02:00:00:00:00:01": 1}
    assert get("/stats") == {"BytesSent": 240, "BytesReceived": 120}


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "said"),
    [("/tunnel?ip=192.168.65.3&port=22", b"192.168.65.3:22 b''"), ("/connect", b"link b''")],
)
def test_connections_that_become_something_else(served, method, path, said):
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(served.path))
        client.send(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
        assert client.makefile("rb").read() == said


@pytest.mark.parametrize("query", [{}, {"ip": "192.168.65.3"}, {"ip": "x", "port": "http"}])
def test_tunnels_that_make_no_sense(ask, query):
    assert ask("POST", "/tunnel", **query).status == 400
