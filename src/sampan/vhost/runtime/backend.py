"""One front-end's connection: its messages, the machine's memory, kicks and calls.

`Backend` does what the session's events ask for, and calls the `Device` when a ring has news.
Whatever the front-end or the driver does wrong ends the connection, and nothing else: the
device is told once, after which no memory of the machine is touched.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from socket import socket
from typing import Protocol

from sampan.base.poller import READ
from sampan.vhost.core import event
from sampan.vhost.core.dirty import DirtyLog
from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.message import Message
from sampan.vhost.core.ring import Ring
from sampan.vhost.core.session import Profile, Session
from sampan.vhost.runtime.channel import Channel
from sampan.vhost.runtime.mapping import map_memory, map_shared

CLOSED = "the front-end closed the connection"
_NOTIFICATION = (1).to_bytes(8, "little")
_MESSAGES = 64  # before others have their turn


class Loop(Protocol):
    """What a loop must be able to do: readiness of descriptors, level-triggered, in one thread."""

    def watch(self, fd: int, events: int, callback: Callable[[int], None]) -> None:
        """Call `callback(events)` whenever `fd` is ready for one of `events`, or is broken."""

    def unwatch(self, fd: int) -> None:
        """Watch it no more; before it is closed."""

    def call_soon(self, callback: Callable[[], None]) -> None:
        """Call at the end of this turn, or in the next."""


class Device(Protocol):
    """What a front-end's rings belong to. May raise RemoteProtocolError from each method."""

    @property
    def profile(self) -> Profile:
        """What kind of device it is."""

    def connected(self, backend: Backend) -> None:
        """A front-end is there; notify its driver through `backend`."""

    def ring_started(self, index: int, ring: Ring, features: int) -> None:
        """A ring runs (in place of the one of this index that ran before, if one did)."""

    def ring_stopped(self, index: int) -> None:
        """A ring is over: do not touch it any more."""

    def interrupted(self) -> None:
        """Put back what was taken of any ring, and keep no view of the machine's memory."""

    def kicked(self, index: int, enabled: bool) -> None:
        """There may be new buffers. While not `enabled`, they are to have no effect."""

    def mtu_set(self, mtu: int) -> None:
        """The front-end told the driver this MTU."""

    def moved(self, mac: bytes) -> None:
        """The machine with this MAC came here from elsewhere."""


class Backend:
    """A connected front-end. `ended(why)` is called once, if it was not we who closed."""

    def __init__(
        self, loop: Loop, connection: socket, device: Device, ended: Callable[[str], None]
    ) -> None:
        self._loop = loop
        self._device = device
        self._ended = ended
        self._channel = Channel(connection)
        lock = threading.Lock()

        def fence() -> None:  # taking a lock is the full barrier that Python has to offer
            lock.acquire()
            lock.release()

        self.session = Session(device.profile, fence)
        self._kicks: dict[int, int] = {}
        self._calls: dict[int, int] = {}
        self.is_open = True
        device.connected(self)
        loop.watch(self._channel.fileno(), READ, self._readable)

    # For the device

    def notify(self, index: int) -> None:
        """Tell the driver that something was given back."""
        fd = self._calls.get(index)
        if fd is not None:
            with suppress(OSError):  # full: it will be seen; broken: the socket will tell
                os.write(fd, _NOTIFICATION)

    def fail(self, error: Exception) -> None:
        """The driver did something wrong, which was found outside of `Device.kicked`."""
        self._end(str(error) or type(error).__name__)

    # From the front-end

    def poll(self) -> None:
        """Read what the front-end sent, even before the loop says that there is something."""
        self._readable(READ)

    def _readable(self, _: int) -> None:
        try:
            for _ in range(_MESSAGES):
                if not self.is_open or (message := self._channel.receive()) is None:
                    return
                self._received(message)
        except EOFError:
            self._end(CLOSED)
        except (RemoteProtocolError, OSError) as error:
            self._end(str(error))

    def _received(self, message: Message) -> None:
        try:
            events = self.session.message_received(message)
        except RemoteProtocolError:
            _close_all(message.fds)
            raise
        pending = list(events)
        try:
            while pending and self.is_open:
                self._act(pending.pop(0))
        finally:
            for each in pending:
                _close_all(_fds_of(each))
        answer = self.session.data_to_send()
        if answer and self.is_open:
            self._channel.send(answer)

    def _act(self, happened: event.Event) -> None:
        device = self._device
        match happened:
            case event.MemoryOffered(regions, fds):
                try:
                    self.session.memory_mapped(map_memory(regions, fds))
                finally:
                    _close_all(fds)
                self._look_everywhere()
            case event.LogOffered(size, offset, fd):
                try:
                    self.session.log_mapped(DirtyLog(map_shared(fd, size, offset)))
                finally:
                    os.close(fd)
            case event.KickSet(index, fd):
                self._set_kick(index, fd)
            case event.CallSet(index, fd):
                self._set_call(index, fd)
            case event.DescriptorDropped(fd):
                os.close(fd)
            case event.RingsInterrupted():
                device.interrupted()
            case event.MtuSet(mtu):
                device.mtu_set(mtu)
            case event.MachineMoved(mac):
                device.moved(mac)
            case _:
                self._ring_changed(happened)

    def _ring_changed(
        self, happened: event.RingStarted | event.RingEnabled | event.RingStopped
    ) -> None:
        device = self._device
        match happened:
            case event.RingStarted(index):
                ring = self.session.ring(index)
                assert ring is not None
                device.ring_started(index, ring, self.session.features)
                self._look(index)
            case event.RingEnabled(index, _):
                self._look(index)
            case event.RingStopped(index):
                self._drop_kick(index)
                device.ring_stopped(index)

    # Rings

    def _look(self, index: int) -> None:
        if self.session.ring(index) is not None:
            self._device.kicked(index, self.session.is_enabled(index))

    def _look_everywhere(self) -> None:
        for index in range(len(self._device.profile.writable)):
            self._look(index)

    def _set_kick(self, index: int, fd: int | None) -> None:
        self._drop_kick(index)
        if fd is not None:
            os.set_blocking(fd, False)
            try:
                self._loop.watch(fd, READ, partial(self._kicked, index, fd))
            except OSError:  # it is nothing that can be watched
                os.close(fd)
                raise
            self._kicks[index] = fd

    def _drop_kick(self, index: int) -> None:
        fd = self._kicks.pop(index, None)
        if fd is not None:
            self._loop.unwatch(fd)
            os.close(fd)

    def _set_call(self, index: int, fd: int | None) -> None:
        old = self._calls.pop(index, None)
        if old is not None:
            os.close(old)
        if fd is not None:
            self._calls[index] = fd
            os.set_blocking(fd, False)
            self.notify(index)  # what the old one was told may not have been seen

    def _kicked(self, index: int, fd: int, _: int) -> None:
        try:
            if not os.read(fd, 8):
                raise RemoteProtocolError("the front-end closed a ring's event descriptor")
            self._look(index)
        except BlockingIOError:
            return
        except (RemoteProtocolError, OSError) as error:
            self._end(str(error))

    # The end

    def _end(self, why: str) -> None:
        if self.is_open:
            self.close()
            self._ended(why)

    def close(self) -> None:
        """End the connection, and let go of the machine's memory."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.unwatch(self._channel.fileno())
        self._channel.close()
        for index in tuple(self._kicks):
            self._drop_kick(index)
        _close_all(self._calls.values())
        self._calls.clear()
        for index in range(len(self._device.profile.writable)):
            self._device.ring_stopped(index)
        self.session.end()


def _fds_of(each: event.Event) -> tuple[int, ...]:
    """The descriptors that an event hands over."""
    match each:
        case event.MemoryOffered(_, fds):
            return fds
        case event.KickSet(_, int(fd)) | event.CallSet(_, int(fd)):
            return (fd,)
        case event.LogOffered(_, _, fd) | event.DescriptorDropped(fd):
            return (fd,)
        case _:
            return ()


def _close_all(fds: Iterable[int]) -> None:
    for fd in fds:
        os.close(fd)
