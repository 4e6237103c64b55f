"""A vsock device with a thread of its own, at a socket where a machine's hypervisor connects.

One front-end is served at a time, the last that came: a hypervisor that is started again in
place of another takes over. Its connections to the guest are then gone; the sockets stay.
"""

from __future__ import annotations

import resource
import socket
from collections.abc import Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from sampan.base import acceptor, log
from sampan.base.loop import LoopClosedError
from sampan.vhost.core.vsock import MAX_CONNECTIONS
from sampan.vhost.core.vsock_connection import Connection
from sampan.vhost.runtime.backend import Backend
from sampan.vhost.runtime.thread import LoopThread
from sampan.vhost.runtime.vsock import VsockDevice
from sampan.vhost.runtime.vsock_socket import HostSockets, dial

_log = log.get(__name__)


class VsockServer:
    """A device whose hypervisor connects at `path`, and whose sockets are in `folder`.

    `also` are more folders where programs of the host may serve ports. `is_wakeful`: see `base.vigil`.

    Raises:
        SampanError: a socket cannot be made.
    """

    def __init__(
        self, path: Path, folder: Path, cid: int, ports: Sequence[int] = (),
        also: Sequence[Path] = (), *, is_wakeful: bool = True,
    ) -> None:  # fmt: skip
        self._thread = LoopThread("vsock device", is_wakeful=is_wakeful)
        self._backend: Backend | None = None
        self._is_closed = False
        loop = self._thread.loop
        self._device = VsockDevice(loop, cid, partial(dial, (folder, *also)), _limit())
        try:
            self._listener = self._thread.call(lambda: acceptor.listen(loop, path, self._attach))
            try:
                self._sockets = self._thread.call(
                    lambda: HostSockets(loop, folder, cid, ports, self._device.connect)
                )
            except BaseException:
                self._thread.call(self._listener.close)
                raise
        except BaseException:
            self._thread.close()
            raise

    def connect(self, port: int) -> Future[socket.socket | None]:
        """A socket that is connected to a port of the guest; None: the guest refuses.

        Cancelled, if the server is closed already.
        """
        found: Future[socket.socket | None] = Future()
        ours, theirs = socket.socketpair()

        def answer(connection: Connection | None) -> None:
            if connection is None:
                theirs.close()
            if found.set_running_or_notify_cancel():
                found.set_result(None if connection is None else theirs)
            else:
                theirs.close()

        try:
            self._thread.loop.submit(lambda: self._device.connect(port, ours, answer))
        except LoopClosedError:
            ours.close()
            theirs.close()
            found.cancel()
        return found

    def reset(self) -> None:
        """Forget all connections, as when the guest is gone."""
        self._thread.call(self._device.reset)

    @property
    def count(self) -> int:
        """How many connections there are."""
        return self._thread.call(lambda: len(self._device))

    def _attach(self, connection: socket.socket) -> None:
        if self._backend is not None:
            _log.info("another hypervisor takes over the vsock device")
            self._backend.close()
            self._device.reset()
        self._backend = Backend(self._thread.loop, connection, self._device, self._ended)

    def _ended(self, why: str) -> None:
        _log.info("the vsock device is no longer used: %s", why)
        self._backend = None
        self._device.reset()

    def close(self) -> None:
        """End all connections, and remove the sockets; once is enough."""
        if not self._is_closed:
            self._is_closed = True
            self._thread.call(self._close)
            self._thread.close()

    def _close(self) -> None:
        self._listener.close()
        self._sockets.close()
        if self._backend is not None:
            self._backend.close()
        self._device.close()


def _limit() -> int:
    """How many connections there may be: they leave this process most of its descriptors."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MAX_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MAX_CONNECTIONS, soft // 4)
