import json

import msgspec
import pytest

from sampan.net.runtime.control import model, v1
from sampan.net.runtime.control.message import Response, Stream
from sampan.net.services import policy
from sampan.net.services.forward import Forward, Protocol


def _json(answer):
    assert isinstance(answer, Response)
    return json.loads(answer.body)


def _error(answer, status):
    assert answer.status == status
    return _json(answer)["error"]


@pytest.mark.parametrize(
    "name",
    [
        "network",
        "forwards",
        "flows",
        "leases",
        "links",
        "stats",
        "names",
        "captures",
        "reservations",
    ],
)
def test_what_can_be_read(ask, name):
    answer = ask("GET", f"/v1/{name}")
    assert (answer.status, answer.content_type) == (200, "application/json")
    _json(answer)


def test_expose_fills_in_the_port(ask, network):
    answer = ask("POST", "/v1/forwards", b'[{"guest_port": 80}, {"port": 53, "guest_port": 53}]')
    assert answer.status == 201
    made = msgspec.json.decode(answer.body, type=tuple[Forward, ...])
    assert made == (Forward(guest_port=80, port=40000), Forward(guest_port=53, port=53))
    assert network.forwards() == made


def test_expose_is_all_or_nothing(ask, network):
    body = b'[{"port": 1000, "guest_port": 80}, {"port": 7777, "guest_port": 81}]'
    error = _error(ask("POST", "/v1/forwards", body), 409)
    assert error["owner"] == "nginx (process 12)"
    assert error["hint"] == "choose another port"
    assert network.listening == []


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        b"[" * 100_000,
        b'[{"guest_port": 0}]',
        b'[{"guest_port": 80, "port": 70000}]',
        b'[{"guest_port": 80, "port": 80.5}]',
        b'[{"guest_port": 80, "bind": "localhost"}]',
        b'[{"guest_port": 80, "path": "web.sock"}]',
        b'[{"guest_port": 80, "path": "/a", "port": 80}]',
        b'[{"guest_port": 80, "guest": "-"}]',
        b'[{"guest_port": 80, "more": 1}]',
        b'[{"guest_port": 80, "path": "/\xff"}]',
        b'[{"guest_port": 80, "path": "/a", "protocol": "udp"}]',
    ],
)
def test_forwards_that_make_no_sense(ask, network, body):
    assert _error(ask("POST", "/v1/forwards", body), 400)["code"] == 2
    assert network.listening == []


def test_too_many_forwards_at_once(ask):
    body = msgspec.json.encode([Forward(guest_port=80)] * (v1.MAX_AT_ONCE + 1))
    assert "1 to 1024" in _error(ask("POST", "/v1/forwards", body), 400)["message"]


def test_unexpose_by_place(ask, network):
    network.listening += [
        Forward(guest_port=80, port=8080),
        Forward(guest_port=80, path="/run/x.sock"),
    ]
    assert _json(ask("DELETE", "/v1/forwards", port="8080"))["guest_port"] == 80
    assert ask("DELETE", "/v1/forwards", path="/run/x.sock").status == 200
    assert network.listening == []
    _error(ask("DELETE", "/v1/forwards", port="8080"), 404)
    _error(ask("DELETE", "/v1/forwards", port="http"), 400)
    _error(ask("DELETE", "/v1/forwards", prot="8080"), 400)


def test_reservations(ask, network):
    body = b'{"mac": "02:00:00:00:00:09", "name": "db"}'
    answer = ask("POST", "/v1/reservations", body)
    assert (answer.status, _json(answer)["address"]) == (201, "192.168.65.9")
    assert _json(ask("GET", "/v1/reservations"))[0]["name"] == "db"
    assert ask("DELETE", "/v1/reservations/02:00:00:00:00:09").status == 204
    _error(ask("DELETE", "/v1/reservations/02:00:00:00:00:09"), 404)


def test_names(ask, network):
    body = b'{"name": "db.local", "addresses": ["192.168.65.9"]}'
    assert ask("POST", "/v1/names", body).status == 201
    assert _json(ask("GET", "/v1/names"))[0]["addresses"] == ["192.168.65.9"]
    assert ask("DELETE", "/v1/names/db.local").status == 204
    _error(ask("DELETE", "/v1/names/db.local"), 404)
    assert network.known == {}


def test_captures(ask, network):
    answer = ask("POST", "/v1/captures", b'{"path": "/tmp/a.pcapng", "filter": "tcp"}')
    assert (answer.status, _json(answer)["id"]) == (201, "1")
    assert ask("DELETE", "/v1/captures/1").status == 204
    _error(ask("DELETE", "/v1/captures/1"), 404)
    assert "absolute" in _error(ask("POST", "/v1/captures", b'{"path": "a"}'), 400)["message"]


def test_stream_of_frames(ask, network):
    answer = ask("GET", "/v1/captures/stream", filter="port 80", snap_length="64")
    assert isinstance(answer, Stream)
    assert network.streams == []
    assert answer.begin(lambda: None).pull() == b"pcapng of 'port 80'"


def test_a_bad_filter_is_said_before_the_stream_begins(ask):
    assert "^" in _error(ask("GET", "/v1/captures/stream", filter="prt 80"), 400)["message"]


POLICY = {
    "default": "deny",
    "rules": [
        {"allow": ["*.example.com"], "port": ["443", "8000-8010"], "protocol": "tcp"},
        {"deny": ["10.0.0.0/8"], "name": "inside"},
        {"allow": ["*"], "port": ["53"]},
    ],
}


def test_policy_is_replaced_and_read_back(ask, network):
    answer = ask("PUT", "/v1/policy", json.dumps(POLICY).encode())
    assert answer.status == 200
    assert network.held == policy.parse(POLICY)
    assert _json(ask("GET", "/v1/policy")) == POLICY


def test_faults_of_a_policy_are_told_together(ask, network):
    answer = ask("PUT", "/v1/policy", b'{"default": "no", "rules": [{}], "x": 1}')
    paths = [each["path"] for each in _error(answer, 400)["problems"]]
    assert paths == ["policy.x", "policy.default", "policy.rules[0]"]
    assert network.held == policy.Policy()


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff"])
def test_a_policy_that_is_no_json(ask, body):
    _error(ask("PUT", "/v1/policy", body), 400)


def _lines(data):
    return [json.loads(line) for line in data.splitlines()]


def test_events_that_were(ask, network):
    for kind in ("flow.opened", "lease.given", "flow.closed"):
        network.happen(kind, name="web")
    answer = ask("GET", "/v1/events", after="1")
    source = answer.begin(lambda: None)
    assert [each["kind"] for each in _lines(source.pull())] == ["lease.given", "flow.closed"]
    assert (source.pull(), source.ended) == (b"", True)
    source.close()


def test_events_that_follow(ask, network):
    woken = []
    source = ask("GET", "/v1/events", follow="true", kind="flow").begin(lambda: woken.append(1))
    assert (source.pull(), source.ended) == (b"", False)
    network.happen("lease.given")
    assert (source.pull(), woken) == (b"", [1])
    network.happen("flow.opened", port=80)
    assert _lines(source.pull())[0]["data"] == {"port": 80}
    source.close()
    assert network.followers == []


def test_many_events_come_in_portions(ask, network):
    for number in range(v1.EVENTS_AT_ONCE + 5):
        network.happen("a" if number else "b")
    source = ask("GET", "/v1/events", kind="a").begin(lambda: None)
    assert len(_lines(source.pull())) == v1.EVENTS_AT_ONCE - 1
    assert len(_lines(source.pull())) == 5


def test_metrics(ask):
    answer = ask("GET", "/metrics")
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert b'sampan_net_tcp_opened_total{network="test"} 7\n' in answer.body


def test_shutdown(ask, network):
    assert ask("POST", "/v1/shutdown").status == 202
    assert network.stopped == 1


def test_documents_of_policies_can_be_parsed_again():
    rule = policy.Rule(allow=False, names=("a.b",), networks=("10.0.0.0/8",), ports=((1, 1), (3, 9)),
                       protocol=policy.Protocol.UDP, name="x")  # fmt: skip
    given = policy.Policy(rules=(rule, policy.Rule(allow=True)), default_allow=False)
    document = v1.document(given)
    assert policy.parse(msgspec.to_builtins(document)) == given
    assert document.rules[1] == model.RuleDocument(allow=("*",))


def test_protocols_are_those_of_forwards():
    assert model.Place().protocol is Protocol.TCP


def test_places_where_machines_connect(ask, network):
    asked = ask("POST", "/v1/links", b'{"listen": "qemu:/x"}')
    assert (asked.status, json.loads(asked.body)) == (201, {"listen": "qemu:/x"})
    assert network.added == ["qemu:/x"]
    assert ask("DELETE", "/v1/links", listen="qemu:/x").status == 204
    assert ask("DELETE", "/v1/links", listen="qemu:/x").status == 404
    assert ask("POST", "/v1/links", b"{}").status == 400
