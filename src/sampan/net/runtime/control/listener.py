"""A Unix socket for its owner alone: its folder is private too, and its peers are known."""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from sampan.base import unixsocket
from sampan.base.unixsocket import Bound
from sampan.errors import SampanError
from sampan.net.runtime.forward import owner

BACKLOG = 64
_LINUX_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_LOCAL_PEERCRED, _BSD_CREDENTIALS = 1, struct.Struct("2I")  # struct xucred: version, uid


def listen(path: Path) -> Bound:
    """A listening socket at `path`, mode 0600; a folder that is missing is made, mode 0700.

    What a process that ended left there is replaced.

    Raises:
        SampanError: it cannot be made, or somebody listens there.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise SampanError(f"cannot make the folder of {path}: {error.strerror}") from error
    if path.is_socket() and unixsocket.is_served(path):
        who = owner.of_unix_socket(str(path))
        raise SampanError(
            f"{who or 'another process'} listens at {path} already",
            hint="give the network another --name, or end that one: sampan net shutdown",
        )
    bound = unixsocket.bind(path)
    bound.socket.listen(BACKLOG)
    return bound


def peer(connection: socket.socket) -> int:
    """The user at the other end."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX_CREDENTIALS.size)
        return int(_LINUX_CREDENTIALS.unpack(raw)[1])
    raw = connection.getsockopt(0, _LOCAL_PEERCRED, 76)  # macOS; never ran
    return int(_BSD_CREDENTIALS.unpack_from(raw)[1])
