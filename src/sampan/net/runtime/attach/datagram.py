"""One frame in each datagram of a Unix socket: QEMU's -netdev dgram, vfkit's unixgram.

    QEMU     -netdev dgram,id=n,local.type=unix,local.path=VM,remote.type=unix,remote.path=OURS
    vfkit    --device virtio-net,unixSocketPath=OURS: binds a path of its own, says VFKT first

One socket is one machine's. Who its peer is, is said at the start, or by the first datagram; from
then on the socket is connected, and the kernel turns everybody else away.
"""

from __future__ import annotations

import errno
import socket
from collections import deque
from pathlib import Path

from sampan.base import unixsocket
from sampan.base.poller import READ, WRITE
from sampan.base.unixsocket import Bound
from sampan.net.core.port import Frame
from sampan.net.link.stream import MAX_FRAME, is_hello
from sampan.net.runtime.engine import Plug

BATCH = 32
BATCHES = 4  # before others have their turn
MAX_WAITING = 1024  # frames that the other side has not taken
_ASKED_BUFFER = 1 << 20
_GONE = (errno.ECONNREFUSED, errno.ENOENT, errno.ENOTCONN, errno.ECONNRESET, errno.EPIPE)


class DatagramLink:
    """A link on a Unix datagram socket, which it owns. `peer`: whom to speak to, if it is known."""

    head = 0
    verifies = False  # the kernel hands on what it was given

    def __init__(self, bound: Bound | socket.socket, peer: Path | None = None) -> None:
        self.lost = 0
        self._bound = bound
        self._socket = bound.socket if isinstance(bound, Bound) else bound
        self._peer = peer
        self._is_connected = False
        self._plug: Plug | None = None
        self._buffers = [memoryview(bytearray(MAX_FRAME)) for _ in range(BATCH)]
        self._waiting: deque[bytes] = deque()

    def start(self, plug: Plug) -> None:
        """See `Link.start`."""
        self._plug = plug
        self._socket.setblocking(False)
        for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
            self._socket.setsockopt(socket.SOL_SOCKET, option, _ASKED_BUFFER)
        try:
            self._socket.getpeername()
            self._is_connected = True
        except OSError:
            self._connect(str(self._peer) if self._peer else None)
        plug.loop.watch(self._socket.fileno(), READ, self._ready)

    def _connect(self, address: str | None) -> None:
        """Speak to `address` from now on; without one, or if it is not there yet, wait for it."""
        if address:
            try:
                self._socket.connect(address)
                self._is_connected = True
            except OSError as error:
                if error.errno not in _GONE:
                    raise

    # In

    def _ready(self, events: int) -> None:
        if events & WRITE:
            self._send_waiting()
        if not events & ~WRITE:
            return
        for _ in range(BATCHES):
            if self._socket.fileno() < 0 or not self._read():
                return

    def _read(self) -> bool:
        """Hand on a batch; whether there may be more."""
        plug, frames = self._plug, []
        assert plug is not None
        more = True
        try:
            for buffer in self._buffers:
                if self._is_connected:
                    size = self._socket.recv_into(buffer)
                else:
                    size, address = self._socket.recvfrom_into(buffer)
                    self._connect(address)
                if size and not (size == 4 and is_hello(buffer[:4])):
                    frames.append(buffer[:size])
        except BlockingIOError:
            more = False
        except OSError as error:
            plug.lost(error.strerror or str(error))
            return False
        if frames:
            plug.received(frames)
        return more

    # Out

    def send(self, frames: list[Frame]) -> None:
        """See `Link.send`. Before anybody has spoken, there is nobody to hear it."""
        if not self._is_connected:
            self.lost += len(frames)
            return
        for frame in frames:
            if self._waiting:
                self._keep(frame)
                continue
            try:
                self._socket.sendmsg(frame)
            except OSError as error:
                if not self._bears(error):
                    return
                self._keep(frame)
        if self._waiting and self._plug is not None:
            self._plug.loop.change(self._socket.fileno(), READ | WRITE)

    def _bears(self, error: OSError) -> bool:
        """Whether the link outlives the error: the other side is only slow."""
        if isinstance(error, BlockingIOError) or error.errno == errno.ENOBUFS:
            return True
        if self._plug is not None:
            self._plug.lost(error.strerror or str(error))
        return False

    def _keep(self, frame: Frame) -> None:
        if len(self._waiting) < MAX_WAITING:
            self._waiting.append(b"".join(frame))
        else:
            self.lost += 1

    def _send_waiting(self) -> None:
        try:
            while self._waiting:
                self._socket.send(self._waiting[0])
                self._waiting.popleft()
        except OSError as error:
            self._bears(error)
            return
        if self._plug is not None:
            self._plug.loop.change(self._socket.fileno(), READ)

    def close(self) -> None:
        """See `Link.close`."""
        if self._socket.fileno() < 0:
            return
        if self._plug is not None:
            self._plug.loop.unwatch(self._socket.fileno())
        self._waiting.clear()
        self._bound.close()


def datagram_link(path: Path, peer: Path | None = None) -> DatagramLink:
    """A link at `path`, where one machine sends its frames.

    Raises:
        SampanError: there cannot be a socket.
    """
    return DatagramLink(unixsocket.bind(path, socket.SOCK_DGRAM), peer)
