"""Unix sockets at a path: private to their owner, and never in the way of whoever listens there.

The path may hold a socket that an earlier process left behind: nobody answers there, and it is
replaced. Anything else that is there stays.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path

from sampan.errors import SampanError

MAX_PATH = 103  # bytes; macOS has 104 with the zero at the end, Linux 108
_PRIVATE = 0o600


class InUseError(SampanError):
    """Somebody listens at that path already."""


class Bound:
    """A bound, non-blocking socket and the file it has."""

    def __init__(self, bound: socket.socket, path: Path) -> None:
        self.socket = bound
        self.path = path
        found = path.lstat()
        self._identity = found.st_dev, found.st_ino

    def close(self) -> None:
        """Close it, and remove its file unless it is another one by now."""
        if self.socket.fileno() < 0:
            return
        self.socket.close()
        with suppress(OSError):
            found = self.path.lstat()
            if (found.st_dev, found.st_ino) == self._identity:
                self.path.unlink()


def bind(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> Bound:
    """A socket at `path` with mode 0600, not yet listening: nobody can have connected before.

    Raises:
        SampanError: the path is too long, its folder is missing, or something is there that is
            no socket.
        InUseError: somebody has a socket there.
    """
    if len(os.fsencode(path)) > MAX_PATH:
        raise SampanError(
            f"{path} is too long for a socket",
            hint=f"paths of sockets have at most {MAX_PATH} bytes; name a shorter one",
        )
    made = socket.socket(socket.AF_UNIX, kind)
    try:
        made.setblocking(False)
        if path.is_socket():
            if is_served(path, kind):
                raise InUseError(f"{path} is in use by another program", hint="name another path")
            path.unlink(missing_ok=True)
        with suppress(OSError):  # on Linux, for the file that bind makes
            os.fchmod(made.fileno(), _PRIVATE)
        made.bind(str(path))
        path.chmod(_PRIVATE)
        return Bound(made, path)
    except OSError as error:
        made.close()
        raise SampanError(
            f"cannot make a socket at {path}: {error.strerror or error}",
            hint="is its folder there, and yours, and nothing else at that path?",
        ) from error
    except SampanError:
        made.close()
        raise


def is_served(path: Path, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Whether somebody has the socket at `path` open."""
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:  # its queue is full, or it is of another kind: somebody is there
            return True
        return True
