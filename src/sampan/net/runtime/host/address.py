"""Which addresses the host has, on all its networks.

Linux tells by rtnetlink. Elsewhere it is what the host's own name leads to, which may be less.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from sampan.base import log
from sampan.net.runtime.rtnetlink import Rtnetlink

FRESH_S = 3.0
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
    with Rtnetlink() as kernel:
        return kernel.addresses()


def _by_name() -> frozenset[bytes]:
    found = socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_DGRAM)
    return frozenset(
        socket.inet_pton(family, str(address[0]).partition("%")[0])
        for family, _, _, _, address in found
    )
