"""The policy at the way out."""

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import EchoRequested, Refusal
from sampan.net.runtime.egress import Egress
from sampan.net.services import policy
from sampan.net.services.alias import Aliases
from sampan.net.services.dnsmodel import Client
from sampan.net.services.hosts import Book, network_names
from sampan.net.wire.address import parse_ip
from sampan.net.wire.dns import CLASS_IN, Message, Question, Record, ResponseCode, Type, parse_name

MACHINE = parse_ip("192.168.65.3")
ADDRESS = parse_ip("203.0.113.5")
API = Question(parse_name("api.example"), Type.A, CLASS_IN)


class Flow:
    """As much of a flow as a policy looks at."""

    def __init__(self, port):
        self.guest = Endpoint(MACHINE, 40000)
        self.remote = Endpoint(ADDRESS, port)


@pytest.fixture
def gates():
    aliases = Aliases()
    answer = Message(0, (API,), (Record(API.name, Type.A, 60, ADDRESS),), response=True)
    aliases.learn(MACHINE, API, answer, 0.0)
    told = []

    def made(**document):
        book = Book()
        book.replace("network", network_names(["192.168.65.254"], ["192.168.65.1"]))
        found = Egress(
            policy.parse(document), aliases, lambda: 1.0, lambda _, why: told.append(why), book
        )
        return found, told

    return made


def ping():
    return EchoRequested(None, MACHINE, ADDRESS, 1, 1, b"", 64, b"")  # type: ignore[arg-type]


def test_all_may_pass_without_a_policy(gates):
    egress, told = gates()
    assert egress.flow(Flow(80)) is egress.udp(Flow(53)) is egress.echo(ping()) is None
    assert egress.name(Client(MACHINE, 1), API) is None
    assert told == []


def test_names_count_by_what_the_machine_was_told(gates):
    egress, told = gates(default="deny", rules=[{"allow": "api.example", "port": 443}])
    assert egress.flow(Flow(443)) is None
    assert egress.flow(Flow(80)) is Refusal.REFUSED
    assert told == ["policy: denied by default"]


def test_the_rule_that_denies_is_named(gates):
    egress, told = gates(rules=[{"deny": "203.0.113.0/24", "name": "no tests"}])
    assert egress.udp(Flow(53)) is Refusal.PROHIBITED
    assert egress.echo(ping()) is Refusal.PROHIBITED
    assert told == ["policy: denied by no tests"]


def test_names_nobody_may_reach_are_refused(gates):
    egress, _ = gates(rules=[{"deny": "api.example"}])
    verdict = egress.name(Client(MACHINE, 1), API)
    assert verdict.answer.code == ResponseCode.REFUSED


def test_names_of_the_network_itself_are_no_secret(gates):
    egress, _ = gates(default="deny")
    for name in ("host.sampan.internal", "HOST.docker.internal", "nobody.sampan.internal"):
        question = Question(parse_name(name), Type.A, CLASS_IN)
        assert egress.name(Client(MACHINE, 1), question) is None
    assert egress.name(Client(MACHINE, 1), API) is not None


def test_the_name_in_a_request_is_asked_about_too(gates):
    egress, _ = gates()
    assert egress.admits(Flow(443), "anybody.example")
    egress, _ = gates(default="deny", rules=[{"allow": "good.example"}])
    assert egress.admits(Flow(443), "Good.example.")
    assert not egress.admits(Flow(443), "bad.example")


def test_another_policy_holds_at_once(gates):
    egress, _ = gates()
    egress.policy = policy.parse({"default": "deny"})
    assert egress.flow(Flow(80)) is Refusal.REFUSED
