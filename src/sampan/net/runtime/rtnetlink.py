"""Rtnetlink: asking Linux for its addresses, and configuring a network device, without `ip`.

Message layouts: netlink(7), rtnetlink(7), linux/rtnetlink.h. A socket belongs to the network
namespace of the thread that made it.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Iterator
from types import TracebackType
from typing import Self

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_IFINFO = struct.Struct("=BxHiII")  # family, type, index, flags, which flags to change
_IFADDR = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_RTMSG = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")
_ERROR, _DONE = 2, 3
_NEW_LINK, _NEW_ADDRESS, _GET_ADDRESS, _NEW_ROUTE = 16, 20, 22, 24
_REQUEST, _ACKNOWLEDGE, _DUMP, _CREATE, _EXCLUSIVE = 1, 4, 0x300, 0x400, 0x200
_LINK_ADDRESS, _LINK_MTU, _LINK_QUEUE = 1, 4, 13
_ADDRESS, _LOCAL, _BROADCAST = 1, 2, 4  # of a point-to-point link, the first is the peer's
_ROUTE_DEVICE, _ROUTE_GATEWAY = 4, 5
_MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST = 254, 4, 0, 1
_UP = 1
_ROOM = 1 << 16
_WAIT_S = 2.0


class Rtnetlink:
    """A conversation with the kernel about one network namespace.

    Raises:
        OSError: every method, if the kernel says no.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.settimeout(_WAIT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._socket.close()

    def addresses(self) -> frozenset[bytes]:
        """All addresses, of 4 or 16 bytes."""
        self._send(_GET_ADDRESS, _DUMP, bytes(_IFADDR.size))
        found: set[bytes] = set()
        while True:
            for kind, body in messages(self._socket.recv(_ROOM)):
                if kind == _NEW_ADDRESS:
                    found.update(addresses_in(body))
                elif kind == _ERROR:
                    _check(body)
                elif kind == _DONE:
                    return frozenset(found)

    def set_link(
        self, index: int, *, mtu: int = 0, mac: bytes = b"", queue: int = 0, up: bool = False
    ) -> None:
        """Configure the device with this index; what is 0 or empty stays as it is.

        `queue` is how many frames may wait in it.
        """
        body = _IFINFO.pack(socket.AF_UNSPEC, 0, index, _UP * up, _UP * up)
        if mac:
            body += attribute(_LINK_ADDRESS, mac)
        if mtu:
            body += attribute(_LINK_MTU, mtu.to_bytes(4, sys.byteorder))
        if queue:
            body += attribute(_LINK_QUEUE, queue.to_bytes(4, sys.byteorder))
        self._ask(_NEW_LINK, 0, body)

    def add_address(self, index: int, address: bytes, prefix_length: int) -> None:
        """Give a device an address of 4 or 16 bytes."""
        body = _IFADDR.pack(_family(address), prefix_length, 0, _UNIVERSE, index)
        body += attribute(_LOCAL, address) + attribute(_ADDRESS, address)
        if len(address) == 4:
            hosts = (1 << 32 - prefix_length) - 1
            broadcast = int.from_bytes(address, "big") | hosts
            body += attribute(_BROADCAST, broadcast.to_bytes(4, "big"))
        self._ask(_NEW_ADDRESS, _CREATE | _EXCLUSIVE, body)

    def add_default_route(self, index: int, gateway: bytes) -> None:
        """Send all that is not on a device's own network to `gateway`."""
        body = _RTMSG.pack(
            _family(gateway), 0, 0, 0, _MAIN_TABLE, _STATIC, _UNIVERSE, _UNICAST, 0
        )  # fmt: skip
        body += attribute(_ROUTE_GATEWAY, gateway)
        body += attribute(_ROUTE_DEVICE, index.to_bytes(4, sys.byteorder))
        self._ask(_NEW_ROUTE, _CREATE | _EXCLUSIVE, body)

    def _ask(self, kind: int, flags: int, body: bytes) -> None:
        self._send(kind, flags | _ACKNOWLEDGE, body)
        for answer, told in messages(self._socket.recv(_ROOM)):
            if answer == _ERROR:
                _check(told)

    def _send(self, kind: int, flags: int, body: bytes) -> None:
        header = _HEADER.pack(_HEADER.size + len(body), kind, _REQUEST | flags, 1, 0)
        self._socket.send(header + body)


def _check(body: bytes) -> None:
    """Raise the error that a message tells of; 0 is an acknowledgment."""
    (number,) = _ERRNO.unpack_from(body)
    if number:
        raise OSError(-number, os.strerror(-number))


def _family(address: bytes) -> int:
    return socket.AF_INET if len(address) == 4 else socket.AF_INET6


def attribute(kind: int, value: bytes) -> bytes:
    """An attribute as bytes, padded."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value.ljust(
        (len(value) + 3) & ~3, b"\0"
    )


def messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each message in a datagram."""
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


def addresses_in(body: bytes) -> Iterator[bytes]:
    """The address that a message tells of."""
    found = dict(attributes(body[_IFADDR.size :]))
    own = found.get(_LOCAL, found.get(_ADDRESS))
    if own is not None and len(own) in (4, 16):
        yield own
