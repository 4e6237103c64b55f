"""Messages over a Unix socket, with descriptors beside them."""

from __future__ import annotations

import os
import socket
from array import array

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.message import MAX_FDS, Decoder, Message

_SPACE = socket.CMSG_SPACE(MAX_FDS * array("i").itemsize)


class Channel:
    """A front-end's socket; owns it, and descriptors until their message is whole."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._decoder = Decoder()

    def fileno(self) -> int:
        """The socket's descriptor."""
        return self._socket.fileno()

    def receive(self) -> Message | None:
        """The next message, if it has come whole.

        Raises:
            EOFError: the front-end closed the connection.
            OSError: the connection broke.
            RemoteProtocolError: what came is no message.
        """
        while True:
            try:
                data, ancillary, flags, _ = self._socket.recvmsg(
                    self._decoder.wanted, _SPACE, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return None
            if not data:
                raise EOFError
            fds = array("i")
            for _, _, content in ancillary:
                fds.frombytes(content[: len(content) - len(content) % fds.itemsize])
            if flags & socket.MSG_CTRUNC:
                for fd in fds:
                    os.close(fd)
                raise RemoteProtocolError(f"more than {MAX_FDS} descriptors with a message")
            message = self._decoder.received(data, tuple(fds))
            if message is not None:
                return message

    def send(self, data: bytes) -> None:
        """Send an answer.

        Raises:
            OSError: the connection broke.
            RemoteProtocolError: the front-end asks and asks, and does not read the answers.
        """
        try:
            size = self._socket.send(data, socket.MSG_NOSIGNAL)
        except BlockingIOError:
            size = 0
        if size != len(data):
            raise RemoteProtocolError("the front-end does not read its answers")

    def close(self) -> None:
        """Close the socket, and the descriptors of a message that did not come whole."""
        self._socket.close()
        for fd in self._decoder.fds:
            os.close(fd)
        self._decoder = Decoder()
