"""Sockets of the host on their way to somebody, without waiting for them to arrive."""

from __future__ import annotations

import socket
from contextlib import suppress


def dial(family: int, address: object) -> socket.socket:
    """A socket on its way to `address`.

    Raises:
        OSError: there is no way.
    """
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        if family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(BlockingIOError):
            connection.connect(address)  # type: ignore[arg-type]  # as its family has it
    except OSError:
        connection.close()
        raise
    return connection
