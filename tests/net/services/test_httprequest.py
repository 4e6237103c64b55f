import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services.httpmessage import MAX_HEAD
from sampan.net.services.httprequest import Head, RequestRewriter
from sampan.net.wire.error import MalformedError

GET = b"GET /a?b HTTP/1.1\r\nHost: Example.com\r\nX-Y: z\r\n\r\n"
GOT = b"GET http://Example.com/a?b HTTP/1.1\r\nHost: Example.com\r\nX-Y: z\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: y\r\n\r\n"
CHUNKED = (
    b"PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
)


def rewrite(data: bytes, size: int = 10**6, authorization: str = "") -> bytes:
    rewriter = RequestRewriter("1.2.3.4", authorization)
    return b"".join(
        rewriter.received(data[start : start + size]) for start in range(0, len(data), size)
    )


@given(st.integers(1, 80))
def test_one_request_after_another_however_cut(size):
    expected = (
        GOT
        + POST.replace(b"POST /p", b"POST http://x/p")
        + CHUNKED.replace(b"PUT /c", b"PUT http://x/c")
        + GOT
    )
    assert rewrite(GET + POST + CHUNKED + GET, size) == expected


def test_what_was_asked_is_told():
    rewriter = RequestRewriter("1.2.3.4")
    rewriter.received(GET + b"GET / HTTP/1.0\r\n\r\n")
    assert rewriter.heads == [Head("GET", "/a?b", "example.com"), Head("GET", "/", "1.2.3.4")]


def test_credentials_are_ours_and_not_the_machines():
    got = rewrite(GET.replace(b"X-Y", b"Proxy-Authorization"), authorization="Basic eDp5")
    assert got.count(b"Proxy-Authorization") == 1
    assert got.endswith(b"\r\nProxy-Authorization: Basic eDp5\r\n\r\n")


@pytest.mark.parametrize(
    ("line", "rewritten"),
    [
        (b"OPTIONS * HTTP/1.1", b"OPTIONS http://x HTTP/1.1"),
        (b"GET http://other/ HTTP/1.1", b"GET http://other/ HTTP/1.1"),
        (b"GET / HTTP/1.0", b"GET http://x/ HTTP/1.0"),
    ],
)
def test_targets(line, rewritten):
    assert rewrite(line + b"\r\nHost: x\r\n\r\n") == rewritten + b"\r\nHost: x\r\n\r\n"


def test_after_an_upgrade_the_rest_is_opaque():
    head = b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"
    assert (
        rewrite(head + b"\x81\x05GET /") == head.replace(b"/ws", b"http://x/ws") + b"\x81\x05GET /"
    )


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET  / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: b\nHost: evil\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a/b@c\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 00000000000000000000001\r\n\r\n",
        CHUNKED.replace(b"5;ext", b"x;ext"),
        CHUNKED.replace(b"5;ext", b"4;ext"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(data):
    with pytest.raises(MalformedError):
        rewrite(data)


@pytest.mark.parametrize("head", [b"", CHUNKED[:62]])
def test_a_head_or_line_that_does_not_end(head):
    with pytest.raises(MalformedError, match="does not end"):
        rewrite(head + b"5" * (MAX_HEAD + 1))


@given(st.binary(max_size=80))
def test_noise(noise):
    for data in (noise, GET[:20] + noise, CHUNKED[:70] + noise):
        try:
            rewrite(data, 16)
        except MalformedError:
            continue
