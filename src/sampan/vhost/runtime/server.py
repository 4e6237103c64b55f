"""A device's Unix socket: one front-end at a time, and the next when that one has ended."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from sampan.errors import SampanError
from sampan.vhost.runtime.backend import READ, Backend, Device, Loop

_PRIVATE = 0o600


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, for its owner only; a socket that nobody listens at is replaced.

    Raises:
        SampanError: there is something else, somebody listens there already, or the path is
            too long.
    """
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if path.is_socket() and not _is_served(path):
            path.unlink(missing_ok=True)
        listening.bind(str(path))
        path.chmod(_PRIVATE)  # nobody can have connected: it does not listen yet
        listening.listen(1)
    except OSError as error:
        listening.close()
        raise SampanError(
            f"cannot listen at {path}: {error.strerror or error}",
            hint="the path of a socket has at most 107 bytes, and can be used once at a time",
        ) from error
    listening.setblocking(False)
    return listening


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
        return True


class Server:
    """Lets front-ends connect to a device, at a listening socket that it owns.

    `changed(why)` is called when a front-end connected (`why` empty) and when one has ended.
    """

    def __init__(
        self, loop: Loop, path: Path, device: Device, changed: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._path = path
        self._device = device
        self._changed = changed
        self._socket = listen(path)
        self._inode = path.stat().st_ino
        self._backend: Backend | None = None
        loop.watch(self._socket.fileno(), READ, self._accept)

    @property
    def is_connected(self) -> bool:
        """Whether there is a front-end."""
        return self._backend is not None and self._backend.is_open

    def _accept(self, _: int) -> None:
        try:
            connection, _ = self._socket.accept()
        except OSError:  # it has gone again, or there are no descriptors left
            return
        if self._backend is not None:
            self._backend.poll()  # it may have ended, and the loop was yet to tell
        if self.is_connected:
            connection.close()
            return
        self._backend = Backend(self._loop, connection, self._device, self._ended)
        self._changed("")

    def _ended(self, why: str) -> None:
        self._backend = None
        self._changed(why)

    def close(self) -> None:
        """End it all, and remove the socket's name if it is still ours."""
        if self._socket.fileno() < 0:
            return
        self._loop.unwatch(self._socket.fileno())
        self._socket.close()
        if self._backend is not None:
            self._backend.close()
            self._backend = None
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
