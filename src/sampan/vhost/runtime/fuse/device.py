"""The vhost-user device of a shared folder (virtio 1.2, section 5.11): its rings, and a server.

Ring 0 is for what is urgent (FORGET), ring 1 for all else. Requests are answered one after the
other, in the order in which they came.
"""

from __future__ import annotations

from functools import partial

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.ring import Ring
from sampan.vhost.core.session import Profile
from sampan.vhost.runtime.backend import Backend, Loop
from sampan.vhost.runtime.fuse.server import Server

RINGS = 2
MAX_TAG_BYTES = 36
_BATCH = 64  # requests before others have their turn


def profile(tag: str) -> Profile:
    """What the front-end may ask of a share with this tag: its name, and one ring of requests."""
    name = tag.encode()
    if not 0 < len(name) <= MAX_TAG_BYTES:
        raise ValueError(f"a tag of {len(name)} bytes")
    config = name.ljust(MAX_TAG_BYTES, b"\0") + (RINGS - 1).to_bytes(4, "little")
    return Profile(writable=(None,) * RINGS, config=config)


class ShareDevice:
    """See `backend.Device`."""

    def __init__(self, loop: Loop, tag: str, server: Server) -> None:
        self.profile = profile(tag)
        self._loop = loop
        self._server = server
        self._backend: Backend | None = None
        self._rings: dict[int, Ring] = {}

    def connected(self, backend: Backend) -> None:
        """See `Device.connected`."""
        self._backend = backend

    def ring_started(self, index: int, ring: Ring, features: int) -> None:
        """See `Device.ring_started`."""
        self._rings[index] = ring

    def ring_stopped(self, index: int) -> None:
        """See `Device.ring_stopped`."""
        self._rings.pop(index, None)

    def interrupted(self) -> None:
        """See `Device.interrupted`: nothing is taken in advance."""

    def mtu_set(self, mtu: int) -> None:
        """See `Device.mtu_set`: not asked of this device."""

    def moved(self, mac: bytes) -> None:
        """See `Device.moved`: likewise."""

    def kicked(self, index: int, enabled: bool) -> None:
        """See `Device.kicked`. What comes while the ring is disabled waits."""
        ring, backend = self._rings.get(index), self._backend
        if ring is None or backend is None or not enabled:
            return
        ring.wake()
        for _ in range(_BATCH):
            chain = ring.take_both()
            if chain is None:
                if ring.rest():
                    return
                continue
            head, question, room = chain
            written = self._server.handle(question, room)
            ring.give_back([head | written << 32])
            if ring.must_notify():
                backend.notify(index)
        self._loop.call_soon(partial(self._go_on, index))

    def _go_on(self, index: int) -> None:
        backend = self._backend
        if backend is None or not backend.is_open:
            return
        try:
            self.kicked(index, backend.session.is_enabled(index))
        except RemoteProtocolError as error:
            backend.fail(error)
