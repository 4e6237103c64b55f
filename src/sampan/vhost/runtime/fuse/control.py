"""The parent's end of a share server's control socket (`core.fuse.control` has what is said)."""

from __future__ import annotations

import socket
from collections.abc import Callable

from sampan.base.poller import READ
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.fuse.control import Item, Lines, Stage, Teller, answer, parse
from sampan.vhost.runtime.backend import Loop
from sampan.vhost.runtime.fuse import teller

_CHUNK = 64 << 10


class Control:
    """Hears what the parent says, until it hangs up: then `ended` is called.

    `is_own` tells whether something is the guest's own doing, of which it is not to be told.
    """

    def __init__(
        self, loop: Loop, connection: socket.socket, told: teller.Teller,
        is_own: Callable[[Item], bool], ended: Callable[[], None],
    ) -> None:  # fmt: skip
        self._loop = loop
        self._socket = connection
        self._teller = told
        self._is_own = is_own
        self._ended = ended
        self._lines = Lines()
        connection.setblocking(False)
        loop.watch(connection.fileno(), READ, self._readable)

    def _readable(self, _: int) -> None:
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or not self._hear(data):
            self.close()
            self._ended()

    def _hear(self, data: bytes) -> bool:
        """False: the parent makes no sense, or does not read its answers."""
        try:
            said = b"".join(map(self._obey, self._lines.received(data)))
            return not said or self._socket.send(said, socket.MSG_NOSIGNAL) == len(said)
        except (OSError, RemoteProtocolError):
            return False

    def _obey(self, line: bytes) -> bytes:
        try:
            order = parse(line)
        except RemoteProtocolError as error:
            return answer(error=str(error))
        match order:
            case Teller(token):
                self._teller.expect(token)
                return answer(teller=token.decode(errors="surrogateescape"))
            case Stage(items):
                own = [number for number, item in enumerate(items) if self._is_own(item)]
                staged = [item for number, item in enumerate(items) if number not in set(own)]
                left = self._teller.stage(staged)
                return answer(staged=len(staged), own=own, left=left)

    def close(self) -> None:
        """Hear no more; once is enough."""
        if self._socket.fileno() >= 0:
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
