"""Connections as they are taken, when descriptors are short too."""

import errno
import socket

import pytest

from sampan.net.runtime.forward.acceptor import ACCEPTS, PAUSE_S, Acceptor, reset


class Short(socket.socket):
    """Has no descriptor for a connection, until it is told otherwise."""

    error: int | None = errno.EMFILE

    def accept(self):
        if self.error is not None:
            raise OSError(self.error, "no")
        return super().accept()


@pytest.fixture
def taken():
    made: list[socket.socket] = []
    yield made
    for each in made:
        each.close()


@pytest.fixture
def short(net, taken):
    listening = Short()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.setblocking(False)
    acceptor = Acceptor(net.loop, listening, taken.append)
    net.closing.append(acceptor.close)
    return listening, acceptor


def test_it_waits_while_there_are_no_descriptors(net, short):
    listening, acceptor = short
    with socket.create_connection(listening.getsockname()):
        net.settle()
        assert acceptor.accepted == 0
        listening.error = None
        net.advance(2 * PAUSE_S)
        net.until(lambda: acceptor.accepted == 1)


def test_it_may_be_closed_while_it_waits(net, short):
    listening, acceptor = short
    with socket.create_connection(listening.getsockname()):
        net.settle()
        acceptor.close()
        net.advance(2 * PAUSE_S)


def test_other_errors_are_a_connections_own(net, short, taken):
    listening, _ = short
    listening.error = errno.EPROTO
    with socket.create_connection(listening.getsockname()):
        net.settle()
        listening.error = None
        net.until(lambda: taken)


def test_connections_do_not_block_or_wait_for_more(net, short, taken):
    listening, _ = short
    listening.error = None
    with socket.create_connection(listening.getsockname()):
        net.until(lambda: taken)
    assert not taken[0].getblocking()
    assert taken[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_is_taken_may_end_it(net, taken):
    listening = socket.create_server(("127.0.0.1", 0), backlog=ACCEPTS)
    listening.setblocking(False)

    def take(connection):
        taken.append(connection)
        acceptor.close()

    acceptor = Acceptor(net.loop, listening, take)
    clients = [socket.create_connection(listening.getsockname()) for _ in range(3)]
    net.until(lambda: taken)
    assert len(taken) == 1
    for client in clients:
        client.close()


def test_a_unix_sockets_file_goes_with_it(net, tmp_path, taken):
    path = tmp_path / "s"
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen()
    acceptor = Acceptor(net.loop, listening, taken.append)
    acceptor.close()
    acceptor.close()
    assert not path.exists()


def test_a_reset_is_seen():
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            reset(server.accept()[0])
            with pytest.raises(ConnectionResetError):
                client.recv(1)
