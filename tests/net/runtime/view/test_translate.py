import pytest

from sampan.net.hook import FlowInfo, Resolve, Respond
from sampan.net.runtime.view.translate import (
    answer_of,
    head_of,
    query_of,
    question_of,
    refusal,
    reply_of,
    request_of,
)
from sampan.net.services.dnsmodel import Client
from sampan.net.services.httpgate import Reply
from sampan.net.services.httphead import RequestHead
from sampan.net.wire.dns import Question, Type
from sampan.net.wire.error import MalformedError

FLOW = FlowInfo(machine="192.168.65.3", protocol="tcp", address="192.0.2.1", port=80)
HEAD = RequestHead("GET", "/a", "HTTP/1.1", (("A", "b"), ("host", "X.example:81"), ("C", "d")))


def test_there_and_back_nothing_changes():
    request = request_of(HEAD, FLOW)
    assert (request.host, request.url) == ("x.example:81", "http://x.example:81/a")
    assert head_of(request) == HEAD
    bare = RequestHead("GET", "/a", "HTTP/1.0")
    assert head_of(request_of(bare, FLOW)) == bare


def test_another_host_replaces_the_header():
    request = request_of(HEAD, FLOW).replace(host="y")
    assert head_of(request).fields == (("Host", "y"), ("A", "b"), ("C", "d"))


def test_what_cannot_stand_in_a_head():
    request = request_of(HEAD, FLOW)
    for changed in (
        request.replace(target="/a b"),
        request.replace(host="x\r\nEvil: 1"),
        request.with_header("A", "b\r\n\r\nGET / HTTP/1.1"),
        request.replace(version="HTTP/3"),
    ):
        with pytest.raises(MalformedError):
            head_of(changed)


def test_responses():
    respond = Respond(404, b"gone", (("X", "y"), ("Content-Length", "99")))
    assert reply_of(respond) == Reply(404, "Not Found", (("X", "y"),), b"gone")
    assert reply_of(Respond(799)).reason == ""
    assert reply_of(Respond(reason="Fine")).reason == "Fine"


@pytest.mark.parametrize(
    "respond",
    [Respond(101), Respond(1000), Respond(headers=(("A", "b\nc"),)), Respond(reason="\n")],
)
def test_what_is_no_response(respond):
    with pytest.raises(MalformedError):
        reply_of(respond)


def test_a_refusal_says_why():
    reply = refusal("not that")
    assert (reply.status, reply.reason, reply.body) == (403, "Forbidden", b"not that\n")


@pytest.mark.parametrize(("kind", "name"), [(1, "A"), (28, "AAAA"), (15, "MX"), (65, "TYPE65")])
def test_questions_there_and_back(kind, name):
    question = Question((b"a", b"example"), kind)
    query = query_of(Client(bytes([192, 168, 65, 3]), 5, over_tcp=True), question, "web")
    assert (query.machine, query.machine_name, query.over_tcp) == ("192.168.65.3", "web", True)
    assert (query.name, query.kind) == ("a.example", name)
    assert question_of(query) == question


@pytest.mark.parametrize(
    "kind", ["", "TYPE", "TYPE70000", "TYPE-1", "a", "TYPE99999999999", "TYPE²"]
)
def test_kinds_that_are_none(kind):
    question = Question((b"a",), 1)
    query = query_of(Client(bytes(4), 5), question, "").replace(kind=kind)
    with pytest.raises(ValueError, match="no kind"):
        question_of(query)


def test_answers_have_the_addresses_of_their_kind():
    resolve = Resolve(("192.0.2.1", "fd00::1", "192.0.2.2"), ttl_s=5)
    four, six, other = (
        answer_of(Question((b"a",), kind), resolve) for kind in (Type.A, Type.AAAA, Type.MX)
    )
    assert [each.data[-1] for each in four.answers] == [1, 2]
    assert [(each.data[-1], each.ttl_s) for each in six.answers] == [(1, 5)]
    assert other.answers == ()
    with pytest.raises(ValueError, match="time to live"):
        answer_of(Question((b"a",), 1), Resolve(ttl_s=-1))
