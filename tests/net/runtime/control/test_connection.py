import json
import socket
from pathlib import Path

import pytest

from sampan.base.loop import Loop
from sampan.net.runtime.control import connection as connection_
from sampan.net.runtime.control.connection import Connection
from sampan.net.runtime.control.message import Request, Response, Stream, Takeover

GET = b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n"
BIG = 8 << 20


class Pieces:
    """A stream of pieces, as many as it is told to have."""

    def __init__(self, wake):
        self.wake, self.left, self.pulled, self.ended, self.closed = wake, 0, 0, False, 0

    def pull(self):
        if not self.left:
            return b""
        self.left -= 1
        self.pulled += 1
        return bytes(65536)

    def close(self):
        self.closed += 1


class Peer:
    """The client's end, and the loop that serves it, both in this thread."""

    def __init__(self):
        self.loop = Loop()
        self.now = 100.0
        self.loop.now = lambda: self.now
        self.socket, served = socket.socketpair(socket.AF_UNIX)
        self.socket.setblocking(False)
        served.setblocking(False)
        self.asked: list[Request] = []
        self.streams: list[Pieces] = []
        self.gone: list[Connection] = []
        self.taken: list[tuple[socket.socket, bytes]] = []
        self.connection = Connection(self.loop, served, self._answer, self.gone.append)

    def _answer(self, request):
        self.asked.append(request)
        match request.path:
            case "/big":
                return Response(body=bytes(BIG))
            case "/take":
                return Takeover(take=self._take)
            case "/stream":
                return Stream(content_type="text/plain", begin=self._begin)
            case _:
                return Response(body=json.dumps(request.path).encode())

    def _take(self, connection, rest):
        self.taken.append((connection, rest))
        if rest == b"fail":
            raise ZeroDivisionError

    def _begin(self, wake):
        self.streams.append(Pieces(wake))
        return self.streams[-1]

    def turn(self):
        for _ in range(4):
            self.loop.run_once(0.0)

    def send(self, data):
        self.socket.sendall(data)
        self.turn()

    def receive(self):
        """What has come, until there is no more."""
        data = bytearray()
        while True:
            self.turn()
            try:
                piece = self.socket.recv(1 << 20)
            except BlockingIOError:
                return bytes(data)
            if not piece:
                return bytes(data)
            data += piece


@pytest.fixture
def peer():
    peer = Peer()
    yield peer
    peer.connection.close()
    peer.socket.close()
    peer.loop.close()


def test_requests_one_after_the_other(peer):
    peer.send(GET % b"/a" + GET % b"/b" + (GET % b"/c")[:9])
    assert [each.path for each in peer.asked] == ["/a", "/b"]
    assert peer.receive().count(b"HTTP/1.1 200") == 2
    peer.send((GET % b"/c")[9:])
    assert peer.receive().endswith(b'"/c"')


def test_large_answers_go_as_they_are_taken(peer):
    peer.send(GET % b"/big" + GET % b"/after")
    assert len(peer.asked) == 1
    data = peer.receive()
    assert len(data) > BIG
    assert data.endswith(b'"/after"')


def test_nothing_is_read_while_an_answer_waits(peer):
    peer.send(GET % b"/big")

    def flood():
        for _ in range(1000):
            peer.socket.send(bytes(65536))
            peer.turn()

    with pytest.raises(BlockingIOError):  # the socket's buffer fills up, not our memory
        flood()


def test_nonsense_is_answered_and_then_the_connection_ends(peer):
    peer.send(b"hello\r\n\r\n")
    data = peer.receive()
    assert data.startswith(b"HTTP/1.1 400")
    peer.send(GET % b"/a")  # nothing of it counts any more
    assert peer.asked == []
    assert peer.connection.deadline == peer.now + connection_.LINGER_S
    peer.socket.close()
    peer.turn()
    assert peer.gone == [peer.connection]


def test_connection_close_is_respected(peer):
    peer.send(b"GET /a HTTP/1.0\r\n\r\n")
    assert peer.receive().endswith(b'"/a"')
    assert peer.connection.deadline == peer.now + connection_.LINGER_S


def test_body_that_waits_to_be_asked_for(peer):
    peer.send(b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert peer.receive() == b"HTTP/1.1 100 \r\n\r\n"
    peer.send(b"{}")
    assert peer.asked[0].body == b"{}"


def test_stream(peer):
    peer.send(GET % b"/stream")
    (stream,) = peer.streams
    assert b"transfer-encoding: chunked" in peer.receive().lower()
    stream.left = 2
    stream.wake()
    stream.wake()
    assert len(peer.receive()) > 2 * 65536
    stream.ended = True
    stream.wake()
    assert peer.receive().endswith(b"0\r\n\r\n")
    assert stream.closed == 1
    peer.send(GET % b"/a")
    assert peer.receive().endswith(b'"/a"')


def test_a_slow_client_is_not_pulled_for(peer):
    peer.send(GET % b"/stream")
    (stream,) = peer.streams
    stream.left = 1000
    stream.wake()
    peer.turn()
    assert stream.pulled < 20
    data = len(peer.receive())
    assert data > 1000 * 65536
    assert stream.left == 0


def test_a_client_that_leaves_a_stream(peer):
    peer.send(GET % b"/stream")
    peer.socket.close()
    peer.turn()
    assert (peer.streams[0].closed, peer.gone) == (1, [peer.connection])
    peer.streams[0].wake()  # too late, and harmless
    peer.turn()


def test_a_client_that_leaves_amid_an_answer(peer):
    peer.send(GET % b"/big")
    peer.socket.close()
    peer.turn()
    assert peer.gone == [peer.connection]


@pytest.mark.parametrize(
    ("sent", "patience"),
    [
        (b"", connection_.REQUEST_S),
        ((GET % b"/a")[:5], connection_.REQUEST_S),
        (GET % b"/a", connection_.IDLE_S),
        (GET % b"/big", connection_.WRITE_S),
        (GET % b"/stream", float("inf")),
    ],
)
def test_patience(peer, sent, patience):
    peer.send(sent)
    assert peer.connection.deadline == peer.now + patience


def test_a_drip_of_bytes_does_not_buy_time(peer):
    for at in range(5):
        peer.send((GET % b"/a")[at : at + 1])
        peer.now += 1
    assert peer.connection.deadline == 100.0 + connection_.REQUEST_S


def test_descriptors_are_given_back(peer):
    before = len(list(Path("/proc/self/fd").iterdir()))
    peer.connection.close()
    peer.connection.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before - 1
    assert len(peer.gone) == 1


def test_a_connection_that_is_taken_over(peer):
    peer.send(GET % b"/a" + GET % b"/take" + b"not HTTP")
    [(connection, rest)] = peer.taken
    with connection:
        assert rest == b"not HTTP"
        assert peer.gone == [peer.connection]
        peer.connection.close()
        assert peer.receive().endswith(b'"/a"')
        peer.send(b"and more")
        assert connection.recv(100) == b"and more"
        connection.send(b"answer")
        assert peer.receive() == b"answer"
    assert len(peer.gone) == 1


def test_a_takeover_that_fails(peer, caplog):
    peer.send(GET % b"/take" + b"fail")
    assert peer.receive() == b""
    [(connection, _)] = peer.taken
    assert connection.fileno() < 0
    assert "ZeroDivisionError" in caplog.text
