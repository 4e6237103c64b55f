"""The network kit: a virtual machine's Ethernet turned into host sockets.

Usable alone, by `sampan net` and as a library; knows nothing of virtual machines but how their
frames arrive. For instance::

    from sampan import net
    from sampan.net.services import forward

    with net.UserNetwork(net.Settings(forwards=forward.parse("8080:80"))) as network:
        network.plug(link, name="web")

Pure, and usable without the rest: `wire` (packets, as values), `core` (the TCP/IP stack),
`services` (DHCP, DNS, time, policy), the framings of `link`, `hook`. What has sockets and a
thread is `runtime`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sampan.net.runtime.usernet import UserNetwork
    from sampan.net.setting import Settings

__all__ = ["Settings", "UserNetwork"]

_HOMES = {"Settings": "sampan.net.setting", "UserNetwork": "sampan.net.runtime.usernet"}


def __getattr__(name: str) -> object:
    """Import what is asked for only then: who uses the pure parts gets no sockets with them."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
