"""A socket bound to where a forward listens, or an error that says what is in the way."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

from sampan.base import unixsocket
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
        return _bind_unix(Path(forward.path))
    kind = socket.SOCK_STREAM if forward.protocol is Protocol.TCP else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in forward.bind else socket.AF_INET
    try:
        bound = socket.socket(family, kind)
    except OSError as error:
        raise BindError(f"cannot forward {forward}: {error.strerror}") from error
    try:
        bound.setblocking(False)
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


def _bind_unix(path: Path) -> socket.socket:
    try:
        bound = unixsocket.bind(path).socket
    except unixsocket.InUseError as error:
        who = owner.of_unix_socket(str(path))
        raise PortTakenError(
            f"{who or 'another program'} listens at {path}", owner=who, hint="choose another path"
        ) from error
    except SampanError as error:
        raise BindError(error.message, hint=error.hint) from error
    bound.listen(BACKLOG)
    return bound


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
