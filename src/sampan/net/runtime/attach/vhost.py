"""A machine's network card as a link: vhost-user-net, the fast way on the same host.

    guest's driver ⇄ rings in the guest's memory ⇄ NetDevice ⇄ VhostLink

QEMU or another such program connects at a Unix socket and hands over the machine's memory.
Frames of up to 64 KiB come out of it and go into it, and nobody computes a checksum. A machine
that is started again is a new connection, so a new link.

A driver that agreed to no offload (a boot loader's) gets frames that are cut and finished here.
"""

from __future__ import annotations

import socket
from pathlib import Path

from sampan.base.acceptor import Acceptor
from sampan.base.loop import Loop
from sampan.net.core import offload
from sampan.net.core.limit import Limits
from sampan.net.core.port import Frame, Port
from sampan.net.runtime.attach.listener import Join, listen_links
from sampan.net.runtime.engine import Plug
from sampan.net.wire import vnet
from sampan.vhost.core.feature import Net
from sampan.vhost.runtime.backend import Backend
from sampan.vhost.runtime.net import NetDevice

_NEEDED = int(Net.GUEST_CSUM | Net.GUEST_TSO4 | Net.GUEST_TSO6)
_NOTHING_TO_DO = bytes(vnet.MERGED_HEADER_LENGTH)


class VhostLink:
    """A link on the socket of a front-end, which it takes over."""

    head = vnet.MERGED_HEADER_LENGTH

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._device: NetDevice | None = None
        self._backend: Backend | None = None
        self._offloaded = Port(0, Limits(), head=self.head)
        self._plain = Port(0, Limits())

    @property
    def lost(self) -> int:
        """How many frames there was no driver or no room for."""
        return self._device.lost if self._device is not None else 0

    def start(self, plug: Plug) -> None:
        """See `Link.start`."""
        self._device = NetDevice(plug.loop, plug.received)
        self._backend = Backend(plug.loop, self._connection, self._device, plug.lost)

    def send(self, frames: list[Frame]) -> None:
        """See `Link.send`. What the driver has no room for waits, within a bound."""
        device = self._device
        if device is None:
            return
        if device.features & _NEEDED != _NEEDED:
            frames = [(each,) for frame in frames for each in self._finished(frame)]
        device.send(frames)

    def _finished(self, frame: Frame) -> list[bytes]:
        """The frame, cut if need be, with its checksums made."""
        whole = memoryview(b"".join(frame))
        pieces = offload.adapt(whole, self._offloaded, self._plain)
        return [_NOTHING_TO_DO + piece for piece in pieces]

    def close(self) -> None:
        """See `Link.close`."""
        if self._backend is not None:
            self._backend.close()
        self._connection.close()


def listen_vhost(loop: Loop, path: Path, join: Join, *, name: str = "") -> Acceptor:
    """Let machines connect at `path`; their links are called NAME, NAME-2 and so on.

    Raises:
        SampanError: it cannot listen there.
    """
    return listen_links(loop, path, VhostLink, join, name)
