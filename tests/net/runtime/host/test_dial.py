import select
import socket

import pytest

from sampan.net.runtime.host.dial import dial


def test_somebody_listens():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with dial(socket.AF_INET, listener.getsockname()) as connection:
            assert select.select([], [connection], [], 20)[1]
            assert not connection.getblocking()
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_unix(tmp_path):
    path = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        with dial(socket.AF_UNIX, path) as connection:
            assert connection.getpeername() == path


def test_no_way():
    with pytest.raises(OSError, match=r"unreachable|ermi"):
        dial(socket.AF_INET, ("255.255.255.255", 1))
