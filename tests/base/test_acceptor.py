"""Connections as they are taken, when descriptors are short too."""

import errno
import logging
import os
import socket
import stat

import pytest

from sampan.base import acceptor
from sampan.base.acceptor import BATCH, PAUSE_S, Acceptor, reset
from sampan.base.loop import Loop
from sampan.errors import SampanError


class Short(socket.socket):
    """Has no descriptor for a connection, until it is told otherwise."""

    error: int | None = errno.EMFILE

    def accept(self):
        if self.error is not None:
            raise OSError(self.error, os.strerror(self.error))
        return super().accept()


@pytest.fixture
def loop():
    made = Loop()
    made.now = lambda: 100.0
    yield made
    made.close()


@pytest.fixture
def taken():
    made: list[socket.socket] = []
    yield made
    for each in made:
        each.close()


@pytest.fixture
def short(loop, taken):
    listening = Short()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.setblocking(False)
    made = Acceptor(loop, listening, taken.append)
    yield listening, made
    made.close()


def connected(listening):
    return socket.create_connection(listening.getsockname())


def wait(loop, seconds):
    """Turn once, so much later."""
    now = loop.now() + seconds
    loop.now = lambda: now
    loop.run_once(0)


def test_it_waits_while_there_are_no_descriptors_and_says_so_once(loop, short, caplog):
    listening, made = short
    with connected(listening):
        for _ in range(3):
            wait(loop, 0)
            wait(loop, 0)
            assert made.accepted == 0
            wait(loop, 2 * PAUSE_S)
        listening.error = None
        wait(loop, 2 * PAUSE_S)
        loop.run_once(0)
        assert made.accepted == 1
    port = listening.getsockname()[1]
    assert caplog.messages == [
        f"cannot take a connection at 127.0.0.1 port {port}: Too many open files"
    ]


def test_it_may_be_closed_while_it_waits(loop, short):
    listening, made = short
    with connected(listening):
        loop.run_once(0)
        made.close()
        wait(loop, 2 * PAUSE_S)


def test_other_errors_are_a_connections_own(loop, short, taken):
    listening, _ = short
    listening.error = errno.EPROTO
    with connected(listening):
        loop.run_once(0)
        listening.error = None
        loop.run_once(0)
        assert taken


def test_connections_do_not_block_or_wait_for_more(loop, short, taken):
    listening, _ = short
    listening.error = None
    with connected(listening):
        loop.run_once(0)
    assert not taken[0].getblocking()
    assert taken[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_is_taken_may_end_it(loop, taken):
    listening = socket.create_server(("127.0.0.1", 0), backlog=BATCH)
    listening.setblocking(False)

    def take(connection):
        taken.append(connection)
        made.close()

    made = Acceptor(loop, listening, take)
    clients = [connected(listening) for _ in range(3)]
    loop.run_once(0)
    assert len(taken) == 1
    for client in clients:
        client.close()


def test_who_cannot_be_taken_costs_nobody_else(loop, short, caplog):
    listening, made = short
    listening.error = None
    failing = [True, False]
    made._take = lambda connection: connection.close() if not failing.pop(0) else 1 / 0
    with connected(listening) as first, connected(listening), caplog.at_level(logging.ERROR):
        loop.run_once(0)
        first.settimeout(60)
        assert first.recv(1) == b""
    assert made.accepted == 2
    assert [record.exc_info[0] for record in caplog.records] == [ZeroDivisionError]


def test_at_a_path_for_its_owner_only(loop, runtime_root, taken):
    path = runtime_root / "s"
    made = acceptor.listen(loop, path, taken.append)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        loop.run_once(0)
    assert made.accepted == 1
    made.close()
    made.close()
    assert not path.exists()


def test_a_unix_sockets_file_goes_with_it(loop, runtime_root, taken):
    path = runtime_root / "s"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    Acceptor(loop, listening, taken.append).close()
    assert not path.exists()


def test_a_path_that_is_taken(loop, runtime_root):
    (runtime_root / "s").write_text("mine")
    with pytest.raises(SampanError, match="cannot make a socket"):
        acceptor.listen(loop, runtime_root / "s", lambda _: None)


def test_a_reset_is_seen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            reset(server.accept()[0])
            with pytest.raises(ConnectionResetError):
                client.recv(1)
