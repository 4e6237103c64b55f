import itertools
import logging

import pytest

from sampan.net.hook import (
    Allow,
    Delay,
    DnsQuery,
    FlowInfo,
    Hooks,
    HttpRequest,
    Refuse,
    Resolve,
    Respond,
    Rewrite,
    on_dns,
    on_flow,
    on_http_request,
)
from sampan.net.runtime.view.inquiry import FAILED, Inquiry

FLOW = FlowInfo(machine="192.168.65.3", protocol="tcp", address="192.0.2.1", port=80)
REQUEST = HttpRequest(flow=FLOW, method="GET", target="/", host="x", headers=(("Host", "x"),))
QUERY = DnsQuery(machine="192.168.65.3", name="a.example", kind="A")


def flows(*answers):
    def said(answer):
        return on_flow(lambda info: answer)

    return Inquiry(Hooks(map(said, answers)))


def http(answer):
    return Inquiry(Hooks([on_http_request(lambda request: answer)])).http_request(REQUEST)


def dns(answer):
    return Inquiry(Hooks([on_dns(lambda query: answer)])).dns(QUERY)


def test_nobody_has_anything_to_say():
    verdict = flows(None, None).flow(FLOW)
    assert (verdict.subject, verdict.refused, verdict.delay_s) == (FLOW, None, 0.0)


def test_delays_add_up_and_the_first_refusal_counts():
    verdict = flows(Delay(1), Delay(2), Refuse("no"), Refuse("never")).flow(FLOW)
    assert (verdict.refused, verdict.delay_s) == ("no", 3)


def test_who_allows_has_the_last_word():
    assert flows(Allow(), Refuse()).flow(FLOW).refused is None


def test_each_hook_sees_what_those_before_it_made():
    seen = []

    @on_flow
    def look(info):
        seen.append(info.port)

    change = on_flow(lambda info: Rewrite(info.replace(port=info.port + 1)))
    again = on_flow(lambda info: Rewrite(info.replace(port=info.port + 10)))
    verdict = Inquiry(Hooks([change, look, again])).flow(FLOW)
    assert seen == [81]
    assert verdict.subject.port == 91


def test_answers_of_ones_own():
    respond, resolve = Respond(body=b"x"), Resolve(("192.0.2.7", "fd00::1"))
    assert http(respond).answer == respond
    assert dns(resolve).answer == resolve
    assert dns(Rewrite(QUERY.replace(name="b.example"))).subject.name == "b.example"
    assert http(Rewrite(REQUEST.with_header("A", "b"))).subject.header("a") == "b"


@pytest.mark.parametrize(
    "answer",
    [
        True,
        "Refuse",
        Rewrite(QUERY),
        Respond(),
        Resolve(),
        Rewrite(FLOW.replace(address="example.com")),
        Rewrite(FLOW.replace(port=70000)),
        Rewrite(FLOW.replace(port="80")),
    ],
)
def test_what_is_no_answer_about_a_flow_costs_it(answer, caplog):
    assert flows(answer).flow(FLOW).refused == FAILED
    assert "failed" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [
        Respond(101),
        Respond(body="text"),  # type: ignore[arg-type]  # what users do
        Rewrite(REQUEST.with_header("A", "b\r\nC: d")),
        Rewrite(REQUEST.with_header("Content-Length", "5")),
        Rewrite(REQUEST.replace(target="")),
        Rewrite(FLOW),
    ],
)
def test_what_is_no_answer_about_a_request_costs_it(answer):
    assert http(answer).refused == FAILED


@pytest.mark.parametrize(
    "answer", [Resolve(("a.example",)), Rewrite(QUERY.replace(name="a..b")), Respond()]
)
def test_what_is_no_answer_about_a_name_costs_it(answer):
    assert dns(answer).refused == FAILED


def test_a_hook_that_fails_is_explained_once(caplog):
    @on_flow
    def broken(info):
        raise ZeroDivisionError(info.address)

    inquiry = Inquiry(Hooks([broken]))
    for _ in range(3):
        assert inquiry.flow(FLOW).refused == FAILED
    assert caplog.text.count("Traceback") == 1
    assert "ZeroDivisionError: 192.0.2.1" in caplog.text
    assert inquiry.failures == {broken.name: 3}


def test_a_hook_that_wants_to_end_everything_only_fails():
    @on_flow
    def leaving(info):
        raise SystemExit(1)

    assert Inquiry(Hooks([leaving])).flow(FLOW).refused == FAILED


def test_slow_hooks_are_named(caplog):
    caplog.set_level(logging.WARNING, "sampan")
    took = iter([0.05, 0.2, 0.3, 0.5])
    clock = itertools.accumulate(itertools.chain.from_iterable((0.0, next(took)) for _ in range(4)))
    inquiry = Inquiry(Hooks([on_flow(lambda info: None)]), lambda: next(clock))
    said = []
    for _ in range(4):
        inquiry.flow(FLOW)
        said.append([each.getMessage().split("took ")[1][:6] for each in caplog.records])
        caplog.clear()
    assert said == [[], ["200 ms"], [], ["500 ms"]]
