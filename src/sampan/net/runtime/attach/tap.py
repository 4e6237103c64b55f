"""A TAP device as a link, with checksum and segmentation offload (Linux: if_tun.h, virtio_net.h).

Each read and write carries one frame behind an offload header of 10 bytes; with offload that is
up to 64 KiB of one TCP stream, and neither side computes a checksum.

Frames are read into buffers that are used over and over: what is handed on is valid until the
next batch. Where frames come one by one, each is acted upon before we look for another: that is
what round trips wait for.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from contextlib import suppress

from sampan.base.poller import READ
from sampan.errors import SampanError
from sampan.net.core.port import Frame
from sampan.net.runtime.engine import Plug
from sampan.net.wire import vnet

DEVICE = "/dev/net/tun"
BATCH = 16
BATCHES = 4  # before others have their turn
_BUFFER = 65536 + 14 + 18 + 12
_SET_INTERFACE = 0x400454CA  # TUNSETIFF
_SET_OFFLOAD = 0x400454D0  # TUNSETOFFLOAD
_SET_HEADER = 0x400454D8  # TUNSETVNETHDRSZ
_TAP, _NO_PACKET_INFO, _OFFLOAD_HEADER = 0x0002, 0x1000, 0x4000
_CHECKSUM, _TCP4, _TCP6 = 1, 2, 4
_REQUEST = struct.Struct("16sH22x")
_MAX_NAME = 15


def open_tap(name: str, *, offload: bool = True) -> int:
    """Make a TAP device in the network namespace of this thread; it lives as long as the fd.

    Raises:
        SampanError: the device cannot be made; the hint says what is missing.
    """
    if not 0 < len(name.encode()) <= _MAX_NAME:
        raise SampanError(f"{name!r} is no name for a network device: 1 to {_MAX_NAME} bytes")
    flags = _TAP | _NO_PACKET_INFO | (_OFFLOAD_HEADER if offload else 0)
    try:
        fd = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise SampanError(
            f"cannot open {DEVICE}: {error.strerror}",
            hint="root has to allow you to use it: chmod 0666"
            if error.errno in (errno.EACCES, errno.EPERM)
            else "load the tun module: modprobe tun",
        ) from error
    try:
        fcntl.ioctl(fd, _SET_INTERFACE, _REQUEST.pack(name.encode(), flags))
        if offload:
            fcntl.ioctl(fd, _SET_HEADER, struct.pack("i", vnet.HEADER_LENGTH))
            fcntl.ioctl(fd, _SET_OFFLOAD, _CHECKSUM | _TCP4 | _TCP6)
    except OSError as error:
        os.close(fd)
        raise SampanError(
            f"cannot make the network device {name}: {error.strerror}",
            hint="it takes CAP_NET_ADMIN in the network's namespace, "
            "and the name must not be in use there",
        ) from error
    return fd


class TapLink:
    """A link to the kernel's own stack through a TAP device; owns `fd`."""

    def __init__(self, fd: int, *, offload: bool = True) -> None:
        self._fd = fd
        self._plug: Plug | None = None
        self._buffers = [memoryview(bytearray(_BUFFER)) for _ in range(BATCH)]
        self._expected = BATCH  # frames in a batch; 1 where frames come one by one
        self.head = vnet.HEADER_LENGTH if offload else 0
        self.lost = 0

    def start(self, plug: Plug) -> None:
        """See `Link.start`."""
        self._plug = plug
        plug.loop.watch(self._fd, READ, self._ready)

    def _ready(self, _: int) -> None:
        plug, fd = self._plug, self._fd
        assert plug is not None
        for index in range(BATCHES):
            frames: list[memoryview] = []
            try:
                for buffer in self._buffers[: self._expected]:
                    size = os.readv(fd, (buffer,))
                    frames.append(buffer[:size])
            except BlockingIOError:
                if frames:
                    plug.received(frames)
                self._expected = 1 if len(frames) + index < 2 else BATCH
                return
            except OSError as error:  # EBADFD: the device, or its namespace, is gone
                plug.lost(error.strerror or str(error))
                return
            plug.received(frames)
            if self._fd != fd:
                return  # what came brought it about that we were closed
            self._expected = BATCH

    def send(self, frames: list[Frame]) -> None:
        """See `Link.send`. What the kernel does not take (the device is down) is lost."""
        fd = self._fd
        for frame in frames:
            try:
                os.writev(fd, frame)
            except OSError:
                self.lost += 1

    def close(self) -> None:
        """See `Link.close`."""
        if self._fd >= 0:
            if self._plug is not None:
                self._plug.loop.unwatch(self._fd)
            with suppress(OSError):
                os.close(self._fd)
            self._fd = -1
