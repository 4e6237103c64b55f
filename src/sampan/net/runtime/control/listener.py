"""A Unix socket for its owner alone: made, told apart from another's, its peers known."""

from __future__ import annotations

import os
import socket
import stat
import struct
from pathlib import Path

from sampan.errors import SampanError
from sampan.net.runtime.forward import owner
from sampan.net.services.forward import MAX_PATH

BACKLOG = 64
_LINUX_CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
_LOCAL_PEERCRED, _BSD_CREDENTIALS = 1, struct.Struct("2I")  # struct xucred: version, uid


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, mode 0600; a folder that is missing is made, mode 0700.

    What a process that ended left there is replaced.

    Raises:
        SampanError: it cannot be made, or somebody listens there.
    """
    if len(os.fsencode(path)) > MAX_PATH:
        raise SampanError(
            f"{path} is too long for a socket",
            hint=f"paths of sockets have at most {MAX_PATH} bytes; name a shorter one",
        )
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _clear(path)
    except OSError as error:
        raise SampanError(f"cannot listen at {path}: {error.strerror}") from error
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        os.fchmod(listening.fileno(), 0o600)  # on Linux there is no moment in which it is others'
        listening.bind(str(path))
        path.chmod(0o600)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise SampanError(f"cannot listen at {path}: {error.strerror}") from error
    return listening


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise SampanError(f"{path} is there and no socket", hint="remove it, or name another path")
    if owner.is_listening(str(path)):
        who = owner.of_unix_socket(str(path))
        raise SampanError(
            f"{who or 'another process'} listens at {path} already",
            hint="give the network another --name, or end that one: sampan net shutdown",
        )
    path.unlink()


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of what is at `path`, to know it again; None if nothing is there."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def peer(connection: socket.socket) -> int:
    """The user at the other end."""
    if hasattr(socket, "SO_PEERCRED"):
        raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _LINUX_CREDENTIALS.size)
        return int(_LINUX_CREDENTIALS.unpack(raw)[1])
    raw = connection.getsockopt(0, _LOCAL_PEERCRED, 76)  # macOS; never ran
    return int(_BSD_CREDENTIALS.unpack_from(raw)[1])
