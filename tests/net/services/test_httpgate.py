from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services.httpdetect import Language
from sampan.net.services.httpgate import MAX_BACKLOG, MAX_TURNS, Decision, Gate, Output, Reply
from sampan.net.services.httphead import RequestHead
from sampan.net.wire.error import MalformedError

NO = Reply(403, "No", (("X-By", "us"),), b"not that")
CHUNKED = b"5;ext=1\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n"


def get(path="/", *rows, version="1.1", method="GET"):
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *rows]
    return "\r\n".join([*lines, "\r\n"]).encode()


def ok(body=b"hello", line="200 OK"):
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (line.encode(), len(body), body)


def no(*rows, body=b"not that"):
    lines = ["HTTP/1.1 403 No", "X-By: us", "Content-Length: 8", *rows]
    return "\r\n".join([*lines, "\r\n"]).encode() + body


class Play:
    """A gate between a machine and a server; what each of them got so far."""

    def __init__(self, ask=lambda head: Decision()):
        self.gate = Gate(ask)
        self.host = self.machine = b""

    def _took(self, output: Output):
        self.host += output.to_host
        self.machine += output.to_machine
        return self

    def sent(self, data, size=10**6):
        for start in range(0, len(data), size):
            self._took(self.gate.sent(memoryview(data)[start : start + size]))
        return self

    def received(self, data, size=10**6):
        for start in range(0, len(data), size):
            self._took(self.gate.received(memoryview(data)[start : start + size]))
        return self

    def release(self):
        return self._took(self.gate.release())


def refuse_bad(head: RequestHead) -> Decision:
    return Decision(reply=NO) if head.target == "/bad" else Decision()


REQUESTS = (
    get("/a")
    + get("/b", "Transfer-Encoding: chunked", method="POST")
    + CHUNKED
    + get("/c", "Content-Length: 3", method="PUT")
    + b"abc"
)
RESPONSES = (
    ok()
    + b"HTTP/1.1 100 Continue\r\n\r\n"
    + b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    + CHUNKED
    + b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
)


@given(st.integers(1, 200), st.integers(1, 200))
def test_what_is_not_changed_passes_however_cut(one, other):
    play = Play().sent(REQUESTS, one).received(RESPONSES, other)
    assert (play.host, play.machine) == (REQUESTS, RESPONSES)
    assert play.gate.language is Language.HTTP1
    assert not play.gate.is_holding


@given(st.integers(1, 200))
def test_heads_are_changed_and_bodies_are_not(size):
    def ask(head):
        fields = (*head.fields, ("X-New", "1"))
        return Decision(head=replace(head, target="/new" + head.target, fields=fields))

    play = Play(ask).sent(REQUESTS, size)
    expected = REQUESTS
    for path in (b"/a", b"/b", b"/c"):
        expected = expected.replace(b" %s " % path, b" /new%s " % path)
    assert play.host.replace(b"X-New: 1\r\n", b"") == expected
    assert play.host.count(b"X-New: 1\r\n\r\n") == 3


def test_a_change_that_breaks_the_body_is_an_error():
    play = Play(lambda head: Decision(head=replace(head, fields=())))
    with pytest.raises(MalformedError, match="no longer fit"):
        play.sent(get("/", "Content-Length: 3") + b"abc")


@given(st.integers(1, 200))
def test_a_reply_waits_for_those_before_it(size):
    play = Play(refuse_bad).sent(get("/a") + get("/bad") + get("/b"), size)
    assert play.host == get("/a") + get("/b")
    assert play.machine == b""
    play.received(ok() + ok(b"2"), size)
    assert play.machine == ok() + no() + ok(b"2")
    assert not play.gate.is_closing


def test_a_reply_needs_no_server():
    play = Play(refuse_bad).sent(get("/bad") * 2)
    assert (play.host, play.machine) == (b"", no() * 2)
    assert Play(refuse_bad).sent(get("/bad", method="HEAD")).machine == no(body=b"")
    empty = Play(lambda head: Decision(reply=Reply(204, "Nothing"))).sent(get())
    assert empty.machine == b"HTTP/1.1 204 Nothing\r\n\r\n"


@pytest.mark.parametrize(
    "request_",
    [
        get("/bad", "Content-Length: 3", "Expect: 100-continue", method="POST"),
        get("/bad", "Content-Length: 3", method="POST") + b"abc",
        get("/bad", "Connection: close"),
        get("/bad", "Upgrade: websocket"),
        get("/bad", version="1.0"),
    ],
)
def test_a_reply_may_end_the_connection(request_):
    play = Play(refuse_bad).sent(get() + request_ + get("/after"))
    assert not play.gate.is_closing
    play.received(ok()).sent(get("/after"))
    assert (play.host, play.machine) == (get(), ok() + no("Connection: close"))
    assert play.gate.is_closing
    assert not play.gate.is_holding


def test_a_delay():
    play = Play(lambda head: Decision(delay_s=2.0 if head.target == "/slow" else 0.0))
    play.sent(get("/a") + get("/slow", "Content-Length: 3") + b"ab")
    assert (play.host, play.gate.hold_s, play.gate.is_holding) == (get("/a"), 2.0, True)
    play.sent(b"c" + get("/slow"))
    play.release()
    assert play.host == get("/a") + get("/slow", "Content-Length: 3") + b"abc"
    assert play.gate.is_holding
    play.release().release()
    assert play.host.endswith(get("/slow"))
    assert (play.gate.hold_s, play.gate.is_holding) == (None, False)


def test_who_does_not_wait_is_cut_off():
    play = Play(lambda head: Decision(delay_s=1.0)).sent(get())
    with pytest.raises(MalformedError, match="does not wait"):
        play.sent(bytes(MAX_BACKLOG + 1))


def test_many_requests_wait_for_their_answers():
    play = Play().sent(get() * (MAX_TURNS + 5))
    assert play.host == get() * MAX_TURNS
    assert (play.gate.is_holding, play.gate.hold_s) == (True, None)
    play.received(ok() * 7)
    assert play.host == get() * (MAX_TURNS + 5)
    assert not play.gate.is_holding


UPGRADE = get("/ws", "Upgrade: websocket")
TUNNEL = get("a:1", method="CONNECT")


@pytest.mark.parametrize(
    ("request_", "response"),
    [(UPGRADE, b"HTTP/1.1 101 Switching\r\n\r\n"), (TUNNEL, b"HTTP/1.1 200 OK\r\n\r\n")],
)
def test_what_follows_another_protocol_passes(request_, response):
    play = Play().sent(request_ + b"early").sent(b"bird")
    assert play.host == request_
    assert play.gate.is_holding
    play.received(response + b"\x81\x00").sent(b"\x81\x05")
    assert play.host == request_ + b"earlybird\x81\x05"
    assert play.machine == response + b"\x81\x00"


@pytest.mark.parametrize("request_", [UPGRADE, TUNNEL])
def test_another_protocol_that_is_declined(request_):
    play = Play(refuse_bad).sent(request_ + get("/bad"))
    assert play.host == request_
    play.received(ok(line="404 No"))
    assert play.machine == ok(line="404 No") + no()


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n", b"\x16\x03\x01abc", b"EHLO\r\n" + get("/bad")])
def test_what_is_not_http_passes(data):
    play = Play(refuse_bad).sent(data[:1]).sent(data[1:]).received(b"what").sent(get("/bad"))
    assert (play.host, play.machine) == (data + get("/bad"), b"what")


def test_servers_that_speak_first():
    play = Play(refuse_bad).sent(b"GE").received(b"220 hello\r\n").sent(b"T")
    assert (play.host, play.machine) == (b"GET", b"220 hello\r\n")
    play = Play().sent(b"GE")
    assert play.host == b""
    assert play.gate.sent_end() == (b"GE", b"")


@pytest.mark.parametrize(
    "response",
    [
        b"ICY 200 OK\r\n\r\nmusic",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nwhat?\r\nmore",
        ok() + b"HTTP/1.1 408 Too late\r\n\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_responses_that_are_not_understood_pass(response, size):
    play = Play(refuse_bad).sent(get()).received(response, size).sent(get("/b"))
    assert (play.host, play.machine) == (get() + get("/b"), response)
    with pytest.raises(MalformedError, match="no place"):
        play.sent(get("/bad"))


def test_an_upgrade_whose_answer_is_not_understood():
    play = Play().sent(UPGRADE + b"x").received(b"what?\r\n\r\n").sent(b"y")
    assert (play.host, play.machine) == (UPGRADE + b"xy", b"what?\r\n\r\n")


@pytest.mark.parametrize(
    "data",
    [
        get("/", "Content-Length: 1", "Content-Length: 2"),
        get("/", "bad header"),
        get() + b"what?\r\n\r\n",
    ],
)
def test_requests_that_could_be_read_in_two_ways_are_refused(data):
    with pytest.raises(MalformedError):
        Play().sent(data)


@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=6))
def test_noise(noise):
    def outcome(size):
        play = Play(refuse_bad).sent(get() + get("/bad"))
        try:
            for is_machine, data in noise:
                (play.sent if is_machine else play.received)(data, size)
        except MalformedError as error:
            return str(error)
        return play.host, play.machine

    assert outcome(1) == outcome(1000)
