import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services import httpview
from sampan.net.services.httpdetect import Language
from sampan.net.services.httpview import MAX_FIELDS_BYTES, MAX_PENDING, Follower

GET = b"GET /a HTTP/1.1\r\nHost: Example.com\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
HELLO_START = b"\x16\x03\x01\x00\x04\x01\x00\x00\x00"

# (what the client says, what the server says), in turns
CONVERSATION = [
    (GET, OK),
    (
        b"POST /form HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ),
    (b"HEAD /h HTTP/1.1\r\nHost: x\r\n\r\n", OK[: -len(b"hello")]),
    (b"PUT /p HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" + GET, b""),
    (
        b"",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKED,
    ),
]
EXPECTED = [
    ("GET", "http://example.com/a", 0, 200, 5),
    ("POST", "http://x/form", 15, 204, 0),
    ("HEAD", "http://x/h", 0, 200, 0),
    ("PUT", "http://x/p", 3, 304, 0),
    ("GET", "http://example.com/a", 0, 200, 15),
]


def follow(turns, size=10**6, follower=None):
    follower = follower or Follower("1.2.3.4:8080", 0.0)
    for sent, received in turns:
        for take, data in ((follower.sent, sent), (follower.received, received)):
            for start in range(0, len(data), size):
                take(memoryview(data)[start : start + size], 1.0)
    return follower


def facts(follower):
    return [
        (each.method, each.url, each.request_body_bytes, each.status, each.response_body_bytes)
        for each in follower.exchanges
    ]


@given(st.integers(1, 200))
def test_a_conversation_however_cut(size):
    follower = follow(CONVERSATION, size)
    assert facts(follower) == EXPECTED
    assert [each.number for each in follower.exchanges] == [0, 1, 2, 3, 4]
    assert not any(each.cut for each in follower.exchanges)
    assert follower.is_following
    assert follower.language is Language.HTTP1


def test_an_exchange():
    follower = Follower("1.2.3.4", 1.0)
    follower.connected(1.5)
    follower.sent(GET[:10], 2.0)
    follower.sent(GET[10:], 2.25)
    follower.received(OK[:3], 3.0)
    follower.received(OK[3:], 7.0)
    [got] = follower.exchanges
    assert got.started == 2.0
    assert (got.connect_s, got.send_s, got.wait_s, got.receive_s) == (0.5, 0.25, 0.75, 4.0)
    assert got.duration_s == 5.5
    assert got.request_fields == (("Host", "Example.com"),)
    assert got.content_type == "text/plain"
    assert (got.reason, got.version, got.response_version) == ("OK", "HTTP/1.1", "HTTP/1.1")
    assert got.request_head_bytes + got.response_head_bytes + 5 == len(GET) + len(OK)
    follower.exchanges.clear()
    follow([(GET, OK)], follower=follower)
    assert follower.exchanges[0].connect_s is None


@pytest.mark.parametrize(
    ("request_", "url"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "http://1.2.3.4:8080/"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "http://x"),
        (b"GET http://y/z HTTP/1.1\r\nHost: x\r\n\r\n", "http://y/z"),
        (b"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", "http://1.2.3.4:8080/"),
    ],
)
def test_urls(request_, url):
    assert follow([(request_, OK)]).exchanges[0].url == url


def test_a_response_that_ends_with_the_connection():
    follower = follow([(GET, b"HTTP/1.0 200 OK\r\n\r\nabc"), (b"", b"def")])
    assert follower.exchanges == []
    follower.received(b"ghi", 3.0)
    follower.sent_end(1.0)
    follower.received_end(9.0)
    assert facts(follower) == [("GET", "http://example.com/a", 0, 200, 9)]
    assert follower.exchanges[0].receive_s == 2.0
    assert follower.exchanges[0].cut == ""


@pytest.mark.parametrize(
    ("turns", "status", "why"),
    [
        ([(GET, OK[:-1])], 200, "the server ended in the middle of a response"),
        ([(GET, OK[:5])], 0, "the server ended in the middle of a response"),
        ([(GET, b"")], 0, "the server ended in the middle of a response"),
    ],
)
def test_responses_that_are_cut(turns, status, why):
    follower = follow(turns)
    follower.received_end(9.0)
    [got] = follower.exchanges
    assert (got.status, got.cut, follower.gave_up) == (status, why, why)


def test_flows_that_end():
    follower = follow([(GET + GET, OK)])
    follower.ended("reset by the machine", 3.0)
    assert [each.cut for each in follower.exchanges] == ["", "reset by the machine"]
    follower.ended("again", 3.0)
    assert len(follower.exchanges) == 2
    follower = follow([(GET[:-2], b"")])
    follower.sent_end(2.0)
    assert "middle of a request" in follower.gave_up


@pytest.mark.parametrize(
    ("request_", "response", "why"),
    [
        (b"CONNECT a:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n", "a tunnel follows"),
        (
            b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
            "another protocol follows",
        ),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_following_ends_where_another_protocol_begins(request_, response, why, size):
    follower = follow([(request_, response), (b"\x81\x05GET /", b"\x81\x00")], size)
    assert follower.gave_up == why
    assert [each.cut for each in follower.exchanges] == [""]


def test_a_tunnel_or_upgrade_that_is_declined():
    connect = b"CONNECT a:443 HTTP/1.1\r\n\r\n"
    upgrade = GET.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\n\r\n")
    follower = follow([(connect, OK.replace(b"200 OK", b"403 No")), (upgrade, OK), (GET, OK)])
    assert [(each.url, each.status) for each in follower.exchanges] == [
        ("a:443", 403), ("http://example.com/a", 200), ("http://example.com/a", 200),
    ]  # fmt: skip
    follower = follow([(connect + b"\x16", b"")])
    assert follower.gave_up == follow([(connect, b""), (b"\x16", b"")]).gave_up != ""


@pytest.mark.parametrize(
    ("turns", "language"),
    [
        ([(b"SSH-2.0-x\r\n", b"")], Language.OTHER),
        ([(b"", b"220 mail\r\n")], Language.OTHER),
        ([(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"")], Language.HTTP2),
        ([(HELLO_START, b"")], Language.TLS),
    ],
)
@pytest.mark.parametrize("size", [1, 1000])
def test_what_is_not_followed_is_named(turns, language, size):
    follower = follow(turns, size)
    assert follower.language is language
    assert not follower.is_following
    assert follower.exchanges == []


def test_the_name_of_a_tls_server(client_hello):
    follower = follow([(client_hello("www.example.com"), b"\x16\x03")], 50)
    assert follower.language is Language.TLS
    assert follower.server_name == "www.example.com"


@pytest.mark.parametrize(
    "turns",
    [
        [(b"GET / HTTP/1.1\r\nbad\r\n\r\n", b"")],
        [(GET, b"what?\r\n\r\n")],
        [(GET, OK + OK)],
        [(GET, OK), (b"x\r\n\r\n", b"")],
        [(GET * (MAX_PENDING + 1), b"")],
        [(GET, b"HTTP/1.1 200 OK\r\nX: " + b"a" * httpview.MAX_HEAD)],
    ],
)
def test_giving_up_says_why_and_costs_nothing_more(turns):
    follower = follow(turns)
    assert follower.gave_up
    before = len(follower.exchanges)
    follow([(GET, OK)], follower=follower)
    follower.sent_end(3.0)
    follower.received_end(3.0)
    assert len(follower.exchanges) == before


def test_headers_are_bounded():
    fields = b"".join(b"A%d: %s\r\n" % (i, b"v" * 3000) for i in range(9))
    got = follow([(GET[:-2] + fields + b"\r\n", OK)]).exchanges[0]
    assert sum(len(name) + len(value) for name, value in got.request_fields) <= MAX_FIELDS_BYTES
    assert got.request_fields[1][1].endswith("v…")
    assert got.request_head_bytes == len(GET) + len(fields)


def test_an_early_answer_has_no_negative_times():
    follower = Follower("h", 0.0)
    follower.sent(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n", 1.0)
    follower.received(OK, 2.0)
    assert follower.exchanges == []
    follower.sent(b"123456789", 5.0)
    [got] = follower.exchanges
    assert (got.send_s, got.wait_s, got.receive_s) == (1.0, 0.0, 0.0)


bodies = st.lists(st.binary(max_size=300), max_size=4)


@given(
    st.lists(st.tuples(bodies, bodies, st.booleans()), min_size=1, max_size=4), st.integers(1, 99)
)
def test_we_see_what_h11_says(messages, size):
    client, server = h11.Connection(h11.CLIENT), h11.Connection(h11.SERVER)
    turns = []
    for sent, received, chunked in messages:
        asked, told = _said(client, h11.Request(
            method="POST", target="/", headers=[("Host", "x"), *_length(sent, chunked)]
        ), sent), b""  # fmt: skip
        server.receive_data(asked)
        while server.next_event() not in (h11.NEED_DATA, h11.PAUSED):
            pass
        told = _said(
            server, h11.Response(status_code=200, headers=_length(received, chunked)), received
        )
        client.receive_data(told)
        while client.next_event() not in (h11.NEED_DATA, h11.PAUSED):
            pass
        client.start_next_cycle()
        server.start_next_cycle()
        turns.append((asked, told))
    assert facts(follow(turns, size)) == [
        ("POST", "http://x/", sum(map(len, sent)), 200, sum(map(len, received)))
        for sent, received, _ in messages
    ]


def _length(body, chunked):
    if chunked:
        return [("Transfer-Encoding", "chunked")]
    return [("Content-Length", str(sum(map(len, body))))]


def _said(side, head, body):
    parts = [side.send(head), *(side.send(h11.Data(data=each)) for each in body)]
    return b"".join([*parts, side.send(h11.EndOfMessage())])


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), max_size=4))
def test_noise_never_raises(noise):
    for start in ([], [(GET, b"")], [(GET, OK[:60])], CONVERSATION):
        whole, bytewise = (follow([*start, *noise], size) for size in (10**6, 1))
        for follower in (whole, bytewise):
            follower.sent_end(2.0)
            follower.received_end(2.0)
            follower.ended("", 2.0)
        assert facts(whole) == facts(bytewise)
