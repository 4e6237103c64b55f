from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services.httphead import (
    HIDDEN,
    NO_BODY,
    Delimiter,
    Framing,
    RequestHead,
    ResponseHead,
    hide_secrets,
)
from sampan.net.wire.error import MalformedError

RAW = b"POST /a?b HTTP/1.1\r\nHost: Example.com:81\r\nx-y:  z \r\nX-Y: w\r\n\r\n"
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=20)


def head(*rows: str, line: str = "POST / HTTP/1.1") -> RequestHead:
    return RequestHead.parse("\r\n".join([line, *rows]).encode("latin-1"))


def reply(*rows: str, line: str = "HTTP/1.1 200 OK") -> ResponseHead:
    return ResponseHead.parse("\r\n".join([line, *rows]).encode("latin-1"))


def test_a_request():
    got = RequestHead.parse(RAW)
    assert (got.method, got.target, got.version) == ("POST", "/a?b", "HTTP/1.1")
    assert got.host == "Example.com:81"
    assert got.values("x-y") == ["z", "w"]
    assert got.emit() == RAW.replace(b":  z ", b": z")


def test_a_response():
    got = ResponseHead.parse(b"HTTP/1.0 404 Not here\r\nA: b\r\n\r\n")
    assert got == ResponseHead(404, "Not here", "HTTP/1.0", (("A", "b"),))
    assert got.emit() == b"HTTP/1.0 404 Not here\r\nA: b\r\n\r\n"
    assert reply(line="HTTP/1.1 200").reason == ""


@given(TEXT, TEXT, st.lists(st.tuples(TEXT, TEXT), max_size=3))
def test_what_is_emitted_is_read_as_it_was_meant(method, target, fields):
    made = RequestHead(method, target, "HTTP/1.1", tuple(fields))
    try:
        raw = made.emit()
    except MalformedError:
        return
    assert RequestHead.parse(raw) == made


@pytest.mark.parametrize(
    "value", ["a\r\nEvil: 1", "a\nb", "a\0b", " a", "café ☕", "a\r\n\r\nGET / HTTP/1.1"]
)
def test_a_value_cannot_smuggle_a_line(value):
    with pytest.raises(MalformedError):
        replace(head("Host: x"), fields=(("X", value),)).emit()
    with pytest.raises(MalformedError):
        replace(reply(), fields=(("X", value),)).emit()
    with pytest.raises(MalformedError):
        replace(head(), target=value).emit()


@pytest.mark.parametrize(
    ("rows", "framing"),
    [
        ([], NO_BODY),
        (["Content-Length: 5"], Framing(Delimiter.LENGTH, 5)),
        (["Content-Length: 5", "content-length: 5"], Framing(Delimiter.LENGTH, 5)),
        (["Transfer-Encoding: Chunked"], Framing(Delimiter.CHUNKS)),
    ],
)
def test_bodies_of_requests(rows, framing):
    assert head(*rows).framing() == framing


@pytest.mark.parametrize(
    "rows",
    [
        ["Content-Length: 1", "Content-Length: 2"],
        ["Content-Length: 1", "Transfer-Encoding: chunked"],
        ["Content-Length: -1"],
        ["Content-Length: 1, 1"],
    ],
)
def test_lengths_that_are_not_clear(rows):
    with pytest.raises(MalformedError):
        head(*rows).framing()
    with pytest.raises(MalformedError):
        reply(*rows).framing("GET")


def test_requests_end_by_themselves():
    for rows in (["Transfer-Encoding: gzip, chunked"], ["Transfer-Encoding: gzip"]):
        with pytest.raises(MalformedError):
            head(*rows).framing()
    with pytest.raises(MalformedError):
        head("Transfer-Encoding: chunked", line="POST / HTTP/1.0").framing()


@pytest.mark.parametrize(
    ("method", "line", "rows", "framing"),
    [
        ("GET", "HTTP/1.1 200 OK", [], Framing(Delimiter.END)),
        ("GET", "HTTP/1.1 200 OK", ["Content-Length: 9"], Framing(Delimiter.LENGTH, 9)),
        ("GET", "HTTP/1.1 200 OK", ["Transfer-Encoding: gzip, chunked"], Framing(Delimiter.CHUNKS)),
        ("GET", "HTTP/1.1 200 OK", ["Transfer-Encoding: gzip"], Framing(Delimiter.END)),
        ("HEAD", "HTTP/1.1 200 OK", ["Content-Length: 9"], NO_BODY),
        ("GET", "HTTP/1.1 204 None", ["Content-Length: 9"], NO_BODY),
        ("GET", "HTTP/1.1 304 Same", ["Content-Length: 9"], NO_BODY),
        ("GET", "HTTP/1.1 100 Go on", [], NO_BODY),
        ("CONNECT", "HTTP/1.1 200 OK", ["Content-Length: 9"], NO_BODY),
        ("CONNECT", "HTTP/1.1 403 No", ["Content-Length: 9"], Framing(Delimiter.LENGTH, 9)),
    ],
)
def test_bodies_of_responses(method, line, rows, framing):
    assert reply(*rows, line=line).framing(method) == framing


def test_interim_responses():
    codes = {code: reply(line=f"HTTP/1.1 {code} X").is_interim for code in (100, 101, 103, 200)}
    assert codes == {100: True, 101: False, 103: True, 200: False}


@pytest.mark.parametrize("rows", [["Host: a", "Host: b"], ["Host: a/b@c"], ["Host: a b"]])
def test_hosts_that_are_none(rows):
    with pytest.raises(MalformedError):
        _ = head(*rows).host


def test_what_changes_the_protocol():
    assert head("Upgrade: websocket").changes_protocol
    assert head(line="CONNECT a:1 HTTP/1.1").changes_protocol
    assert not head("Connection: close").changes_protocol


def test_what_lets_somebody_in_is_hidden():
    fields = (("Host", "x"), ("COOKIE", "a=b"), ("Authorization", "Basic eDp5"))
    assert hide_secrets(fields) == (("Host", "x"), ("COOKIE", HIDDEN), ("Authorization", HIDDEN))
