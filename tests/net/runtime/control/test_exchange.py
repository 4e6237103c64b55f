import json
import sys

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import SampanError
from sampan.net.runtime.control import exchange
from sampan.net.runtime.control.exchange import Exchange, Refused
from sampan.net.runtime.control.message import Request, Response

GET = b"GET /v1/flows?sort=age&x= HTTP/1.1\r\nHost: h\r\n\r\n"


def _head(name, value, method=b"POST"):
    return b"%b / HTTP/1.1\r\nHost: h\r\n%b: %b\r\n\r\n" % (method, name, value)


def _first(data):
    each = Exchange()
    each.receive(data)
    return each, each.next_request()


def test_request():
    each, request = _first(GET)
    assert request == Request(method="GET", path="/v1/flows", query={"sort": "age", "x": ""})
    assert not each.is_idle


def test_byte_by_byte():
    each = Exchange()
    assert each.is_idle
    data = _head(b"Content-Length", b"3") + b"abc"
    for at in range(len(data) - 1):
        each.receive(data[at : at + 1])
        assert each.next_request() is None
        assert not each.is_idle
    each.receive(data[-1:])
    assert each.next_request() == Request(method="POST", path="/", body=b"abc")


def test_chunked_body():
    _, request = _first(_head(b"Transfer-Encoding", b"chunked") + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
    assert request.body == b"abc"


def test_answers_and_the_next_request():
    each, _ = _first(GET + GET)
    assert each.next_request() is None  # not before the answer
    data = each.respond(Response(status=201, body=b"{}"))
    assert data.startswith(b"HTTP/1.1 201 \r\n")
    assert b"content-type: application/json\r\n" in data
    assert data.endswith(b"content-length: 2\r\n\r\n{}")
    assert not each.must_close
    assert each.next_request().path == "/v1/flows"
    assert b"content-length" not in each.respond(Response(status=204))
    assert each.is_idle


def test_methods_that_are_allowed():
    each, _ = _first(GET)
    assert b"allow: GET, POST\r\n" in each.respond(Response(status=405, allow=("GET", "POST")))


def test_head_has_no_body():
    each, request = _first(GET.replace(b"GET", b"HEAD"))
    assert request.method == "HEAD"
    assert each.respond(Response(body=b"{}")).endswith(b"\r\n\r\n")


def test_stream():
    each, _ = _first(GET)
    data = each.begin("text/plain") + each.chunk(b"abc") + each.finish()
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "h")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    assert client.next_event().status_code == 200
    assert bytes(client.next_event().data) == b"abc"
    assert isinstance(client.next_event(), h11.EndOfMessage)
    assert each.is_idle


def test_clients_that_want_to_be_asked_for_the_body():
    head = b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    each, request = _first(head)
    assert request is None
    assert each.go_ahead() == b"HTTP/1.1 100 \r\n\r\n"
    assert each.go_ahead() == b""
    each.receive(b"{}")
    assert each.next_request().body == b"{}"


def test_connection_close():
    each, _ = _first(GET.replace(b"Host: h", b"Host: h\r\nConnection: close"))
    each.respond(Response())
    assert each.must_close


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /?%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /?" + b"a&" * 100 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (_head(b"Content-Length", b"x"), 400),
        (_head(b"X", b"y" * exchange.MAX_HEAD)[: exchange.MAX_HEAD + 5], 431),
        (_head(b"Content-Length", b"9999999") + bytes(exchange.MAX_BODY + 1), 413),
    ],
)
def test_refused(data, status):
    each, refused = _first(data)
    assert isinstance(refused, Refused)
    assert refused.response.status == status
    assert json.loads(refused.response.body)["error"]["code"] == 2
    assert each.respond(refused.response).startswith(b"HTTP/1.1 %d" % status)


@settings(max_examples=200)
@given(st.lists(st.binary(max_size=40), max_size=8), st.sampled_from([b"", GET[:20], GET]))
def test_garbage(pieces, start):
    each = Exchange()
    for piece in [start, *pieces]:
        if not piece:
            continue
        each.receive(piece)
        while (request := each.next_request()) is not None:
            if isinstance(request, Refused):
                assert each.respond(request.response)
                return
            assert each.respond(Response())
            if each.must_close:
                return


def test_with_h11():
    exchange.check()


def test_without_h11(monkeypatch):
    monkeypatch.setitem(sys.modules, "h11", None)
    with pytest.raises(SampanError) as caught:
        exchange.check()
    assert caught.value.hint == "pip install 'sampan[net]'"


def test_what_comes_behind_a_request():
    each, _ = _first(GET + b"something else")
    assert each.rest == b"something else"
