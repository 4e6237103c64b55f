import socket
import ssl
from contextlib import suppress
from typing import Any

import pytest

from sampan.base.poller import READ
from sampan.errors import UsageError
from sampan.net.core.event import Refusal
from sampan.net.runtime.host import secured as secured_module
from sampan.net.runtime.host.secured import Secure, Secured, context, reason

NAME = "127.0.0.1"


@pytest.fixture
def trusting(authority):
    return context([authority])


@pytest.fixture
def pair(trusting, server_context):
    """Ours, and the server's side, over sockets that hold little."""
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 14)
    secured = Secured(ours, trusting, NAME)
    server = server_context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
    with server:
        yield secured, server
    secured.close()


def shake(secured, server):
    """Both sides of the handshake; what the last call of ours said."""
    wanted = None
    for _ in range(10):
        wanted = secured.handshake()
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            continue
        if not wanted:
            break
    return wanted


def received(server, size):
    data = b""
    while len(data) < size:
        try:
            data += server.recv(1 << 20)
        except ssl.SSLWantReadError:
            break
    return data


def test_both_ways(pair):
    ours, server = pair
    assert ours.handshake() == READ
    assert shake(ours, server) == 0
    assert ours.send(b"question") == 8
    assert received(server, 8) == b"question"
    with pytest.raises(BlockingIOError):
        ours.recv(100)
    server.send(b"answer")
    assert ours.recv(1 << 16) == b"answer"
    assert ours.fileno() >= 0
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 14)


def test_nothing_is_hidden(pair):
    """What is not in the kernel has been handed on: readiness tells all."""
    ours, server = pair
    shake(ours, server)
    sent = got = 0
    with suppress(ssl.SSLWantWriteError):
        while True:
            sent += server.send(bytes(1000))
    with suppress(BlockingIOError):
        while True:
            got += len(ours.recv(1 << 16))
    assert got >= sent > 1 << 13
    assert ours._tls.pending() == 0


def test_much_through_little(pair):
    ours, server = pair
    shake(ours, server)
    data = bytes(range(256)) * 8192
    waiting, got = bytearray(data), b""
    while len(got) < len(data):
        try:
            while waiting:
                del waiting[: ours.send(waiting)]
        except BlockingIOError:
            waiting += b""  # may be added to meanwhile
        got += received(server, len(data))
    assert got == data


def test_half_close(pair):
    ours, server = pair
    shake(ours, server)
    ours.shutdown(socket.SHUT_WR)
    assert server.recv(100) == b""
    server.send(b"and more")
    assert ours.recv(100) == b"and more"
    server.close()
    assert ours.recv(100) == b""
    assert ours.recv(100) == b""


def test_end_with_a_farewell_and_data(pair):
    ours, server = pair
    shake(ours, server)
    server.send(b"last words")
    with pytest.raises(ssl.SSLWantReadError):
        server.unwrap()
    assert ours.recv(1 << 16) == b"last words"
    assert ours.recv(1 << 16) == b""


def test_broken_connection(pair):
    ours, server = pair
    shake(ours, server)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    server.close()
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        ours.send(bytes(1 << 14))


def test_garbage_is_an_error(pair):
    ours, server = pair
    shake(ours, server)
    with socket.socket(fileno=server.detach()) as raw:
        raw.send(b"x" * 100)
    with pytest.raises(ssl.SSLError):
        ours.recv(1 << 16)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "it does not speak TLS"),
        (b"\x15\3\3\0\2\2\x28", "handshake failure"),
        (b"", "it hung up during the handshake"),
    ],
)
def test_what_is_no_handshake(trusting, said, why):
    ours, theirs = socket.socketpair()
    with theirs:
        ours.setblocking(False)
        secured = Secured(ours, trusting, NAME)
        assert secured.handshake() == READ
        theirs.send(said)
        theirs.shutdown(socket.SHUT_WR)
        with pytest.raises(ssl.SSLError) as caught:
            secured.handshake()
        assert why in reason(caught.value)
        secured.close()


def test_other_errors_have_their_words():
    assert (
        reason(ConnectionResetError(104, "Connection reset by peer")) == "Connection reset by peer"
    )
    assert reason(OSError("x")) == "x"


def test_files_that_hold_no_certificates(tmp_path):
    with pytest.raises(UsageError, match="No such file"):
        context([tmp_path / "none"])
    (tmp_path / "text").write_text("no certificate")
    with pytest.raises(UsageError, match="text holds no CA certificates: no certificate in PEM"):
        context([tmp_path / "text"])


@pytest.fixture
def begin(net, tls_server):
    """Begins to connect; what came of it, and what was told of a failure."""
    outcome: list[Any] = []
    told: list[str] = []

    def go(context, name=NAME, target=tls_server.target):
        opening = Secure(context, name, told.append)(
            net.loop, [target], outcome.append, outcome.append
        )
        net.closing.append(opening.close)
        return opening

    yield go, outcome, told
    for each in outcome:
        if isinstance(each, Secured):
            each.close()


def test_connection(net, tls_server, begin, trusting):
    go, outcome, told = begin
    opening = go(trusting)
    tls_server.until(lambda: outcome)
    [secured] = outcome
    opening.close()
    net.advance(secured_module.HANDSHAKE_S + 1)
    assert secured.send(b"x") == 1
    tls_server.until(lambda: tls_server.data == b"x")
    assert told == []


@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [
        (NAME, False, "its certificate is not trusted: self-signed certificate"),
        ("other.example", True, "Hostname mismatch"),
        ("127.0.0.2", True, "IP address mismatch"),
    ],
)
def test_certificate_that_is_not_trusted(tls_server, begin, trusting, name, trusted, why):
    go, outcome, told = begin
    go(trusting if trusted else context(), name)
    tls_server.until(lambda: outcome)
    assert outcome == [Refusal.PROHIBITED]
    assert why in told[0]
    tls_server.until(lambda: tls_server.error is not None)  # it was told, too


def test_nobody_there(net, begin, trusting, closed):
    go, outcome, told = begin
    go(trusting, target=closed)
    net.until(lambda: outcome)
    assert (outcome, told) == ([Refusal.REFUSED], [])


def test_silence(net, begin, trusting, server, descriptors):
    go, outcome, told = begin
    before = descriptors()
    opening = go(trusting, target=server.target)
    server.accepted()
    net.settle()
    net.advance(secured_module.HANDSHAKE_S)
    assert (outcome, told) == ([Refusal.PROHIBITED], ["it does not answer"])
    opening.close()
    assert descriptors() == before + 1  # the server's
