"""Whether a host port can be published, asked before a machine boots rather than after."""

from __future__ import annotations

import errno
import socket

from sampan.machine.error import MachineError
from sampan.machine.forward import Forward, Protocol


class PortError(MachineError):
    """A host port cannot be published."""


def check(forwards: tuple[Forward, ...]) -> None:
    """Make sure that each host port is free and may be used.

    Somebody may still take one before the machine does: then QEMU reports it.

    Raises:
        PortError: one is not; the message names it.
    """
    seen: set[tuple[Protocol, int]] = set()
    for forward in forwards:
        key = (forward.protocol, forward.host_port)
        if forward.host_port and key in seen:
            raise PortError(f"host port {_name(forward)} is published twice")
        seen.add(key)
        _try(forward)


def _try(forward: Forward) -> None:
    kind = socket.SOCK_STREAM if forward.protocol is Protocol.TCP else socket.SOCK_DGRAM
    family = socket.AF_INET6 if ":" in forward.bind else socket.AF_INET
    with socket.socket(family, kind) as probe:
        if kind == socket.SOCK_STREAM:
            # as QEMU does: connections that linger from an earlier run are no obstacle
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((forward.bind, forward.host_port))
            if kind == socket.SOCK_STREAM:
                probe.listen(1)
        except OSError as error:
            raise _explained(forward, error) from error


def _explained(forward: Forward, error: OSError) -> PortError:
    name = _name(forward)
    if error.errno == errno.EADDRINUSE:
        again = f"{forward.host_port + 1}:{forward.guest_port}/{forward.protocol}"
        return PortError(
            f"host port {name} is already in use on {forward.bind}",
            hint=f"publish on another one, for instance {again}, or stop the program that has it",
        )
    if error.errno in (errno.EACCES, errno.EPERM):
        return PortError(
            f"host port {name} may only be published by root",
            hint="publish on a port from 1024 up",
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return PortError(f"{forward.bind} is not an address of this computer")
    return PortError(f"cannot publish host port {name}: {error.strerror}")


def _name(forward: Forward) -> str:
    return f"{forward.host_port}/{forward.protocol}"
