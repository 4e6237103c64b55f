import h11
import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.service.httptalk import IDLE_S, MAX_BODY, HttpTalk, Request, Response

SERVICE = Endpoint(bytes([192, 168, 65, 1]), 8080)


@pytest.fixture
def requests(net):
    """What was asked; a request's path says how it is answered."""
    seen = []

    def handle(request):
        seen.append(request)
        if request.path == "/fail":
            raise RuntimeError("bug")
        if request.path == "/bad":
            return Response(fields=(("X-A", "b\r\nX-C: d"),))
        return Response(status=299, body=request.path.encode(), fields=(("X-A", "b"),))

    net.outbound.serve(SERVICE, lambda each: HttpTalk(net.loop, each, handle))
    return seen


@pytest.fixture
def answers(net):
    """The responses to what is sent, as h11 reads them: (status, body)."""

    def go(raw, count=1, method=b"GET"):
        connection = net.machine.connect(SERVICE)
        connection.send(raw)
        client = h11.Connection(h11.CLIENT)
        found: list[tuple[int, bytes]] = []
        client.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        read, body, status = 0, b"", 0
        while len(found) < count:
            event = client.next_event()
            if event is h11.NEED_DATA:
                net.until(lambda: len(connection.data) > read or connection.is_ended)  # noqa: B023
                client.receive_data(bytes(connection.data[read:]))
                read = len(connection.data)
            elif isinstance(event, h11.Response):
                status, body = event.status_code, b""
            elif isinstance(event, h11.InformationalResponse):
                found.append((event.status_code, b""))
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                found.append((status, body))
                if len(found) < count:
                    client.start_next_cycle()
                    client.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
                    client.send(h11.EndOfMessage())
        return connection, found

    return go


def test_request_and_answer(net, requests, answers):
    connection, found = answers(b"GET /a%20b?c=%20 HTTP/1.1\r\nHost: x\r\nX-Y: z\r\n\r\n")
    assert found == [(299, b"/a b")]
    assert requests == [
        Request(
            machine=net.machine.ip, method="GET", path="/a b", query="c=%20",
            fields=(("Host", "x"), ("X-Y", "z")),
        )
    ]  # fmt: skip
    assert requests[0].value("x-y") == "z"
    assert requests[0].value("x-z") is None
    assert not connection.is_ended


def test_several_at_once(requests, answers):
    raw = b"".join(b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(3))
    assert answers(raw, 3)[1] == [(299, b"/0"), (299, b"/1"), (299, b"/2")]


def test_body(requests, answers):
    raw = b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    answers(raw)
    assert (requests[0].method, requests[0].body) == ("PUT", b"abcde")


def test_machine_that_waits_to_be_asked_for_its_body(requests, answers):
    head = b"PUT / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    assert answers(head + b"hi", 2)[1] == [(100, b""), (299, b"/")]


def test_head(requests, answers):
    connection, found = answers(b"HEAD /long HTTP/1.1\r\nHost: x\r\n\r\n", method=b"HEAD")
    assert found == [(299, b"")]
    assert b"Content-Length: 5" in connection.data


@pytest.mark.parametrize("request_", [b"GET / HTTP/1.0", b"GET / HTTP/1.1\r\nConnection: Close"])
def test_last_request(net, requests, answers, request_):
    connection, found = answers(request_ + b"\r\n\r\n")
    assert found == [(299, b"/")]
    net.until(lambda: connection.is_ended)


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /" + b"x" * 20_000, 400),
        (b"PUT / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n" + b"x" * (MAX_BODY + 1), 413),
    ],
)
def test_what_is_refused(net, requests, answers, raw, status):
    connection, found = answers(raw)
    assert found[0][0] == status
    net.until(lambda: connection.is_ended)
    connection.send(b"GET / HTTP/1.1\r\n\r\n")
    net.settle()
    assert requests == []


@pytest.mark.parametrize("path", [b"/fail", b"/bad"])
def test_handler_that_fails(requests, answers, caplog, path):
    raw = b"GET %s HTTP/1.1\r\n\r\nGET /good HTTP/1.1\r\n\r\n" % path
    assert answers(raw, 2)[1] == [(500, b"this request failed\n"), (299, b"/good")]
    assert "of a machine failed" in caplog.text


def test_silence_ends_it(net, requests):
    connection = net.machine.connect(SERVICE)
    net.until(lambda: connection.state == "open")
    net.advance(IDLE_S - 1)
    connection.send(b"GET")
    net.settle()
    net.advance(IDLE_S - 1)
    net.settle()
    assert not connection.is_ended
    net.advance(2)
    net.until(lambda: connection.is_ended)


def test_machine_that_has_finished(net, requests, answers):
    connection, _ = answers(b"GET / HTTP/1.1\r\n\r\n")
    connection.finish()
    net.until(lambda: connection.is_ended)
    net.until(lambda: net.engine.stack.flows == ())
