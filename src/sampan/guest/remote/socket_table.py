"""Which ports somebody listens at: the kernel's tables of sockets, read. Pure but for `read`."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

from sampan.guest.remote.place import Place

_LISTENING = "0A"
_UNCONNECTED = "07"
_STATES = {"tcp": _LISTENING, "tcp6": _LISTENING, "udp": _UNCONNECTED, "udp6": _UNCONNECTED}
MOST = 500


def parse(kind: str, lines: Iterable[str]) -> Iterator[tuple[str, str, int]]:
    """The listening sockets of table `kind` (`tcp6`): protocol, address, port; see proc(5)."""
    for line in lines:
        fields = line.split()
        if len(fields) < 4 or fields[3] != _STATES[kind]:
            continue
        address, _, port = fields[1].rpartition(":")
        try:
            words = bytes.fromhex(address)
            number = int(port, 16)
        except ValueError:
            continue
        if len(words) not in (4, 16):
            continue
        # the kernel prints words of 32 bits in the order of the processor; ours are little endian
        raw = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))
        family = socket.AF_INET if len(raw) == 4 else socket.AF_INET6
        yield kind[:3], socket.inet_ntop(family, raw), number


def read(place: Place) -> list[tuple[str, str, int]]:
    """The ports that are listened at, at most `MOST`."""
    found: set[tuple[str, str, int]] = set()
    for kind in _STATES:
        try:
            with open(place.network_table(kind), encoding="utf-8") as stream:
                found.update(parse(kind, stream))
        except FileNotFoundError:
            continue  # a kernel without IPv6
    return sorted(found)[:MOST]
