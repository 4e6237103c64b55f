"""Network namespaces of Linux: finding one by a process or a path, and going there.

A namespace is held by a descriptor, so that it stays the same whatever becomes of the process.
Who may go there is decided by the user namespace that owns it: ours, then it takes CAP_SYS_ADMIN;
another one, of which we are the owner, then it is to be joined first, by a process that has a
single thread. Python 3.11 has no os.setns; the C library has.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from sampan.errors import SampanError

NETWORK, USER = 0x40000000, 0x10000000  # CLONE_NEWNET, CLONE_NEWUSER
_OWNER, _KIND = 0xB701, 0xB703  # NS_GET_USERNS, NS_GET_NSTYPE: ioctl_ns(2)
_OWN_USER = "/proc/self/ns/user"
_NOT_YOURS = "run this as root, or as the user who started what is in the namespace"


class Namespace:
    """A network namespace, and the user namespace that owns it if that is not ours.

    Owns its descriptors: `network`, and `user` (None: it is ours).
    """

    def __init__(self, network: int, user: int | None, shown: str) -> None:
        self.network = network
        self.user = user
        self._shown = shown

    def __str__(self) -> str:
        return self._shown

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        os.close(self.network)
        if self.user is not None:
            os.close(self.user)

    def join(self) -> None:
        """Take this thread there, for good: let it be one that ends soon.

        Raises:
            SampanError: it is not allowed.
        """
        try:
            if self.user is not None:
                set_namespace(self.user, USER)
            set_namespace(self.network, NETWORK)
        except OSError as error:
            raise SampanError(f"cannot enter {self}: {error.strerror}", hint=_NOT_YOURS) from error


def find(target: int | Path) -> Namespace:
    """The network namespace of a process, or the one at a path (/run/netns/NAME).

    Raises:
        SampanError: there is none, or it is somebody else's.
    """
    if isinstance(target, int):
        path, shown = Path(f"/proc/{target}/ns/net"), f"the network of process {target}"
    else:
        path, shown = target, str(target)
    try:
        network = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        missing = f"there is no process {target}" if isinstance(target, int) else f"no {target}"
        raise SampanError(missing, hint="name a process or a path as /run/netns/NAME") from None
    except PermissionError as error:
        raise SampanError(f"cannot look at {shown}: {error.strerror}", hint=_NOT_YOURS) from error
    except OSError as error:
        raise SampanError(f"cannot open {path}: {error.strerror}") from error
    try:
        return Namespace(network, _owner(network, shown), shown)
    except BaseException:
        os.close(network)
        raise


def _owner(network: int, shown: str) -> int | None:
    try:
        kind = fcntl.ioctl(network, _KIND)
    except OSError:
        kind = 0
    if kind != NETWORK:
        raise SampanError(f"{shown} is no network namespace")
    try:
        user = fcntl.ioctl(network, _OWNER)
    except OSError as error:
        if error.errno == errno.EPERM:
            raise SampanError(
                f"{shown} belongs to a user namespace outside of ours", hint=_NOT_YOURS
            ) from error
        raise SampanError(f"cannot tell who owns {shown}: {error.strerror}") from error
    own = Path(_OWN_USER).stat()
    found = os.fstat(user)
    if (found.st_dev, found.st_ino) != (own.st_dev, own.st_ino):
        return user
    with suppress(OSError):
        os.close(user)
    return None


def set_namespace(fd: int, kind: int) -> None:
    """setns(2), for the calling thread.

    Raises:
        OSError: the kernel does not let it.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(fd, kind) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
