"""A socket bound to where a forward listens, or an error that says what is in the way."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from sampan.errors import SampanError
from sampan.net.runtime.forward import owner
from sampan.net.services.forward import Forward, Protocol

BACKLOG = 512


class PortTakenError(SampanError):
    """Somebody else has the port, or the socket's path. `owner` says who, if that is known."""

    def __init__(self, message: str, *, owner: owner.Owner | None, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.owner = owner


class BindError(SampanError):
    """A forward cannot listen where it should."""


def bind(forward: Forward) -> socket.socket:
    """A non-blocking socket that is bound, and listens if it is of TCP or Unix.

    Raises:
        PortTakenError: another program, or another forward, is there.
        BindError: the system does not allow it.
    """
    if forward.path:
        return _bind_unix(forward)
    kind = socket.SOCK_STREAM if forward.protocol is Protocol.TCP else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in forward.bind else socket.AF_INET
    try:
        bound = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise BindError(f"cannot forward {forward}: {error.strerror}") from error
    try:
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:  # connections of an earlier run that linger do not matter
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((forward.bind, forward.port))
        if kind == socket.SOCK_STREAM:
            bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise _explained(forward, error) from error
    return bound


def _bind_unix(forward: Forward) -> socket.socket:
    path = Path(forward.path)
    _clear(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    with suppress(OSError):  # on Linux there is no moment in which others could connect
        os.fchmod(bound.fileno(), 0o600)
    try:
        bound.bind(forward.path)
        path.chmod(0o600)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        raise BindError(
            f"cannot listen at {path}: {error.strerror}", hint="is its folder there, and yours?"
        ) from error
    return bound


def _clear(path: Path) -> None:
    """Remove the socket that a program left behind when it ended.

    Raises:
        PortTakenError: somebody listens there.
        BindError: something else than a socket is there.
    """
    try:
        kind = path.lstat().st_mode
    except OSError:
        return
    if not stat.S_ISSOCK(kind):
        raise BindError(f"{path} is there and no socket", hint="remove it, or choose another path")
    if owner.is_listening(str(path)):
        who = owner.of_unix_socket(str(path))
        raise PortTakenError(
            f"{who or 'another program'} listens at {path}", owner=who, hint="choose another path"
        )
    path.unlink(missing_ok=True)


def _explained(forward: Forward, error: OSError) -> SampanError:
    name = f"{forward.port}/{forward.protocol}"
    if error.errno == errno.EADDRINUSE:
        who = owner.of_port(forward.protocol, forward.port)
        taken = f"is taken by {who}" if who else "is taken by another program"
        return PortTakenError(
            f"port {name} of {forward.bind} {taken}", owner=who,
            hint="choose another port, or 0 for any that is free",
        )  # fmt: skip
    if error.errno in (errno.EACCES, errno.EPERM):
        return BindError(
            f"port {name} may only be used by root",
            hint="choose a port from 1024 up, or lower net.ipv4.ip_unprivileged_port_start",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return BindError(f"{forward.bind} is not an address of this computer")
    return BindError(f"cannot forward port {name} of {forward.bind}: {error.strerror}")
