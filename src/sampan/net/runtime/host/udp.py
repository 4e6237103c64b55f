"""UDP flows and connected sockets of the host.

One socket for each pair of endpoints, so that the host tells of errors (port unreachable) and
lets nobody else's datagrams in. There are at most `bound` of them, and no more than a quarter of
the descriptors: a machine that speaks to more makes the pair fall silent that has been so for
longest.

On Linux a socket is asked to tell of soft errors too (ip(7), IP_RECVERR): no route, no such host.
"""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import OrderedDict
from contextlib import suppress

from sampan.base.loop import Loop
from sampan.base.poller import ERROR, READ
from sampan.net.core.udp import UdpFlow
from sampan.net.runtime.host import descriptor, failure

READS = 64  # datagrams, before others have their turn
MAX_SOCKETS = 2048
MAX_DATAGRAM = 65507
_PART = 4  # of all descriptors: connections need some too
_ASKED_BUFFER = 4 << 20  # the kernel gives what net.core.rmem_max allows
_TELL_ERRORS4 = socket.IPPROTO_IP, 11  # IP_RECVERR
_TELL_ERRORS6 = socket.IPPROTO_IPV6, 25
_ERROR_NUMBER = struct.Struct("=I")  # how `struct sock_extended_err` begins
_ERROR_SPACE = socket.CMSG_SPACE(64)
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class HostUdp:
    """What a UDP flow leads to. Owns its socket."""

    __slots__ = ("_fd", "_flow", "_socket", "_sockets", "delivered")

    def __init__(self, sockets: UdpSockets, flow: UdpFlow, connection: socket.socket) -> None:
        self._sockets = sockets
        self._flow = flow
        self._socket = connection
        self._fd = connection.fileno()
        self.delivered = 0
        flow.context = self
        sockets.loop.watch(self._fd, READ, self._ready)

    @property
    def socket(self) -> socket.socket:
        """The host's end."""
        return self._socket

    @property
    def flow(self) -> UdpFlow:
        """Whose datagrams these are."""
        return self._flow

    def send(self, now: float) -> None:
        """Send on what the machine sent; what the host does not take now is lost."""
        self._sockets.used(self)
        for datagram in self._flow.datagrams():
            try:
                self._socket.send(datagram)
            except BlockingIOError:
                continue
            except OSError as error:  # of an earlier datagram, mostly; this one was not sent
                self._refused(error.errno or 0, now)
                with suppress(OSError):
                    self._socket.send(datagram)

    def _refused(self, number: int, now: float) -> None:
        if number != errno.EMSGSIZE:  # the host's kernel has learned the path's MTU
            self._flow.refuse(failure.refusal_of(number), now)

    def _ready(self, events: int) -> None:
        flow, now, buffer = self._flow, self._sockets.loop.now(), self._sockets.buffer
        if events & ERROR:
            self._take_errors(now)
        receive, reply = self._socket.recv_into, flow.reply
        for _ in range(READS):
            try:
                size = receive(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self._refused(error.errno or 0, now)
                return
            self.delivered += size
            reply(buffer[:size], now)

    def _take_errors(self, now: float) -> None:
        """Tell the machine of the errors that wait; as long as they do, the socket is ready."""
        for _ in range(READS):
            try:
                _, told, _, _ = self._socket.recvmsg(0, _ERROR_SPACE, socket.MSG_ERRQUEUE)
            except OSError:
                return
            for _, _, data in told:
                if len(data) >= _ERROR_NUMBER.size:
                    self._refused(_ERROR_NUMBER.unpack_from(data)[0], now)

    def close(self) -> None:
        """The flow is over."""
        if self._fd >= 0:
            self._sockets.forget(self)
            self._sockets.loop.unwatch(self._fd)
            self._socket.close()
            self._fd = -1


class UdpSockets:
    """The sockets of all UDP flows, the one unused for longest first."""

    def __init__(self, loop: Loop, bound: int = MAX_SOCKETS) -> None:
        self.loop = loop
        self.buffer = memoryview(bytearray(MAX_DATAGRAM + 1))
        self._bound = bound
        self._open: OrderedDict[HostUdp, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._open)

    def connect(self, flow: UdpFlow, family: int, address: tuple[str, int]) -> HostUdp | None:
        """Lead a flow to an address of the host's side.

        If it cannot be, the machine is told, and there is None.
        """
        if self._open and len(self._open) >= min(self._bound, descriptor.share(_PART)):
            self._make_room()
        try:
            connection = self._connected(family, address)
        except OSError as error:
            flow.refuse(failure.refusal(error), self.loop.now())
            return None
        made = HostUdp(self, flow, connection)
        self._open[made] = None
        return made

    def _connected(self, family: int, address: tuple[str, int]) -> socket.socket:
        try:
            connection = socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            if error.errno not in _SHORT or not self._open:
                raise
            self._make_room()
            connection = socket.socket(family, socket.SOCK_DGRAM)
        connection.setblocking(False)
        try:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ASKED_BUFFER)
            if sys.platform == "linux":
                six = family == socket.AF_INET6
                connection.setsockopt(*(_TELL_ERRORS6 if six else _TELL_ERRORS4), 1)
            connection.connect(address)
        except OSError:
            connection.close()
            raise
        return connection

    def _make_room(self) -> None:
        oldest = next(iter(self._open))
        oldest.flow.close()
        oldest.flow.context = None
        oldest.close()

    def used(self, one: HostUdp) -> None:
        """It is not the one to be given up next."""
        self._open.move_to_end(one)

    def forget(self, one: HostUdp) -> None:
        """It is closed."""
        self._open.pop(one, None)

    def close(self) -> None:
        """Give all sockets back."""
        for each in tuple(self._open):
            each.close()
