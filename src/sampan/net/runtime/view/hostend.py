"""The host's end of a flow: where it leads, or who began it. Asked for when somebody looks."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from socket import socket as Socket  # noqa: N812  the class, not the module

_CREDENTIALS = struct.Struct("iII")  # pid, uid, gid: unix(7), SO_PEERCRED


def address(context: object) -> str:
    """`ADDRESS:PORT` of what a flow's socket is connected to; empty if it is to nothing of a kind.

    `context` is the flow's: anything that has a `socket` property is asked.
    """
    found = _socket(context)
    if found is None or found.family == socket.AF_UNIX:
        return ""
    with suppress(OSError):  # connecting still, or broken by now
        host, port, *_ = found.getpeername()
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return ""


def peer_pid(context: object) -> int:
    """The process at the other end of a flow's Unix socket; 0 if there is none, or not known."""
    found = _socket(context)
    option = getattr(socket, "SO_PEERCRED", None)  # Linux has it
    if found is None or found.family != socket.AF_UNIX or option is None:
        return 0
    with suppress(OSError):
        said = found.getsockopt(socket.SOL_SOCKET, option, _CREDENTIALS.size)
        return int(_CREDENTIALS.unpack(said)[0])
    return 0


def _socket(context: object) -> Socket | None:
    found = getattr(context, "socket", None)
    return found if isinstance(found, Socket) and found.fileno() >= 0 else None
