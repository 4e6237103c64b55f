"""vhost-user-net: a machine's network card, whose frames we take and give.

Frames have a header of 12 bytes in front (see `core.net`). Those of the machine come in
batches, in memory that is used again after the call. Frames for the machine are copied into its
memory when they are sent, or wait if it has left no room; they must stay as they are till then.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeAlias

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.feature import Net, Virtio
from sampan.vhost.core.net import (
    HEADER_LENGTH,
    LEGACY_HEADER_LENGTH,
    RECEIVE_QUEUE,
    STAGING,
    TRANSMIT_QUEUE,
    Frame,
    FrameReader,
    FrameWriter,
)
from sampan.vhost.core.ring import Ring
from sampan.vhost.core.session import Profile
from sampan.vhost.runtime.backend import Backend, Loop

BATCHES = 4  # before others have their turn
OFFLOADS = (
    Net.CSUM | Net.HOST_TSO4 | Net.HOST_TSO6 | Net.HOST_ECN
    | Net.GUEST_CSUM | Net.GUEST_TSO4 | Net.GUEST_TSO6 | Net.GUEST_ECN
)  # fmt: skip
FEATURES = OFFLOADS | Net.MERGED_BUFFERS | Net.MTU
PROFILE = Profile(writable=(True, False), features=FEATURES, is_network=True)

_RARP = struct.Struct("!HHBBH6s4s6s4s")

Received: TypeAlias = Callable[[list[memoryview]], None]


def announcement(mac: bytes) -> bytes:
    """An Ethernet frame that asks for a machine's own address (RARP, RFC 903); nobody answers."""
    question = _RARP.pack(1, 0x0800, 6, 4, 3, mac, b"", mac, b"")
    return (b"\xff" * 6 + mac + b"\x80\x35" + question).ljust(60, b"\0")


class NetDevice:
    """A network card. `received(frames)` is called with what the machine sends.

    `features` are what the driver agreed to: without `Net.GUEST_CSUM` it wants no unfinished
    checksums, without `Net.GUEST_TSO4` and 6 no frames above its MTU.
    """

    def __init__(self, loop: Loop, received: Received) -> None:
        self.profile = PROFILE
        self.features = 0
        self.mtu = 0  # as the driver was told; 0: it was not
        self._lost = 0
        self._loop = loop
        self._received = received
        self._backend: Backend | None = None
        self._staging = memoryview(mmap.mmap(-1, STAGING))
        self._reader: FrameReader | None = None
        self._writer: FrameWriter | None = None
        self._is_sending = False  # the machine's frames are more than was its share of a turn

    @property
    def lost(self) -> int:
        """How many frames there was no driver or no room for."""
        return self._lost + (self._writer.dropped if self._writer is not None else 0)

    @property
    def is_up(self) -> bool:
        """Whether there is a driver that takes frames."""
        return self._writer is not None

    def send(self, frames: Iterable[Frame]) -> None:
        """Send frames to the machine. While there is no driver, they are lost."""
        writer, backend = self._writer, self._backend
        if writer is None or backend is None or not backend.session.is_enabled(RECEIVE_QUEUE):
            self._lost += sum(1 for _ in frames)
            return
        try:
            if writer.write(frames):
                backend.notify(RECEIVE_QUEUE)
        except RemoteProtocolError as error:
            self._drop_writer()
            self._loop.call_soon(partial(backend.fail, error))

    # See `Device`

    def connected(self, backend: Backend) -> None:
        """See `Device.connected`."""
        self._backend = backend

    def ring_started(self, index: int, ring: Ring, features: int) -> None:
        """See `Device.ring_started`."""
        self.features = features
        merged = bool(features & Net.MERGED_BUFFERS)
        modern = merged or bool(features & Virtio.VERSION_1)
        header = HEADER_LENGTH if modern else LEGACY_HEADER_LENGTH
        if index == RECEIVE_QUEUE:
            self._drop_writer()
            ring.wake()
            self._writer = FrameWriter(ring, merged=merged, header=header)
        else:
            self._reader = FrameReader(ring, self._staging, header)

    def ring_stopped(self, index: int) -> None:
        """See `Device.ring_stopped`."""
        if index == RECEIVE_QUEUE:
            self._drop_writer()
        else:
            self._reader = None

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._lost += self._writer.dropped + self._writer.waiting
            self._writer = None

    def interrupted(self) -> None:
        """See `Device.interrupted`."""
        if self._writer is not None:
            self._writer.put_back()

    def mtu_set(self, mtu: int) -> None:
        """See `Device.mtu_set`."""
        self.mtu = mtu

    def moved(self, mac: bytes) -> None:
        """See `Device.moved`: a frame in the machine's name, from which switches learn."""
        self._received([memoryview(bytes(HEADER_LENGTH) + announcement(mac))])

    def kicked(self, index: int, enabled: bool) -> None:
        """See `Device.kicked`."""
        if index == TRANSMIT_QUEUE:
            self._transmit(enabled)
        elif enabled and self._writer is not None and self._writer.waiting:
            self._writer.ring.wake()
            self.send(())

    def _transmit(self, enabled: bool) -> None:
        for _ in range(BATCHES):
            reader, backend = self._reader, self._backend
            if reader is None or backend is None:
                return
            reader.ring.wake()
            frames = reader.read()
            if frames is None:
                if reader.ring.rest():
                    return
                continue
            if reader.ring.must_notify():
                backend.notify(TRANSMIT_QUEUE)
            if frames and enabled:
                self._received(frames)
        if not self._is_sending:
            self._is_sending = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_sending = False
        backend = self._backend
        if backend is None or self._reader is None:
            return
        try:
            self._transmit(backend.session.is_enabled(TRANSMIT_QUEUE))
        except RemoteProtocolError as error:
            backend.fail(error)
