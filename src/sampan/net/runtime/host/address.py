"""Which addresses the host has, on all its networks.

Linux tells by rtnetlink (rtnetlink(7), RTM_GETADDR). Elsewhere it is what the host's own name
leads to, which may be less.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable, Iterator

from sampan.base import log

FRESH_S = 3.0
_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_IFADDR = struct.Struct("=BBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_NEW_ADDRESS, _GET_ADDRESS, _ERROR, _DONE = 20, 22, 2, 3  # RTM_NEWADDR, RTM_GETADDR, NLMSG_…
_REQUEST_DUMP = 0x301
_ADDRESS, _LOCAL = 1, 2  # IFA_…; on a point-to-point link the first is the peer's
_ROOM = 1 << 16
_WAIT_S = 1.0
_log = log.get(__name__)


class OwnAddresses:
    """The host's addresses, looked up again when they are asked for and no longer fresh."""

    def __init__(
        self,
        look: Callable[[], frozenset[bytes]] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look = look or own_addresses
        self._now = now
        self._known: frozenset[bytes] = frozenset()
        self._until = float("-inf")

    def __contains__(self, address: object) -> bool:
        now = self._now()
        if now >= self._until:
            self._until = now + FRESH_S
            try:
                self._known = self._look()
            except OSError as error:  # what was known a moment ago is better than nothing
                _log.warning("the host's addresses cannot be read: %s", error)
        return address in self._known


def own_addresses() -> frozenset[bytes]:
    """All addresses of the host, of 4 or 16 bytes.

    Raises:
        OSError: they cannot be read.
    """
    if not hasattr(socket, "AF_NETLINK"):
        return _by_name()
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
        asking.settimeout(_WAIT_S)
        body = bytes(_IFADDR.size)  # of any family
        head = _HEADER.pack(_HEADER.size + len(body), _GET_ADDRESS, _REQUEST_DUMP, 1, 0)
        asking.send(head + body)
        found: set[bytes] = set()
        while True:
            for kind, data in messages(asking.recv(_ROOM)):
                if kind == _NEW_ADDRESS:
                    found.update(_addresses(data))
                elif kind in (_DONE, _ERROR):
                    return frozenset(found)


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each netlink message in a datagram."""
    while len(data) >= _HEADER.size:
        length, kind, *_ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return
        yield kind, data[_HEADER.size : length]
        data = data[(length + 3) & ~3 :]


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and value of each attribute in a message's body."""
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            return
        yield kind, data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]


def _addresses(body: bytes) -> Iterator[bytes]:
    found = dict(attributes(body[_IFADDR.size :]))
    own = found.get(_LOCAL, found.get(_ADDRESS))
    if own is not None and len(own) in (4, 16):
        yield own


def _by_name() -> frozenset[bytes]:
    found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_DGRAM)
    return frozenset(
        socket.inet_pton(family, str(address[0]).partition("%")[0])
        for family, _, _, _, address in found
    )
