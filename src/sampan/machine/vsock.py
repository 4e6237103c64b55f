"""vsock: sockets between programs of the host and of a guest, without a network.

The device is our own (`sampan.vhost`), in a thread of the process that launches the machine, so
the host needs no kernel module and no privileges. Programs of this process use `Endpoint`; all
others use sockets in the machine's runtime folder (`vhost.runtime.vsock_socket` has their names),
to which links are made where the spec wants them: a path of any length will do for a link.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.base import unixsocket
from sampan.errors import UsageError
from sampan.machine.device import HOST_CID, MAX_GUEST_CID, MIN_GUEST_CID, Vsock
from sampan.machine.error import MachineError, MachineTimeoutError
from sampan.vhost.core.vsock_greeting import (
    CONNECT,
    MAX_PORT,
    UNIFIED,
    names_for_guest_port,
    names_for_host_port,
)

if TYPE_CHECKING:
    from sampan.vhost.runtime.vsock_server import VsockServer

CONNECT_S = 15.0
_BACKLOG = 128


class VsockRefusedError(MachineError):
    """Nobody in the guest listens at that port, or the guest does not answer."""


class Endpoint:
    """The host's side of a machine's vsock. `folder` has its sockets; `device_path` is QEMU's."""

    def __init__(self, server: VsockServer, folder: Path, device_path: Path, cid: int) -> None:
        self.folder = folder
        self.device_path = device_path
        self.cid = cid
        self._server = server

    async def connect(self, port: int, *, timeout_s: float = CONNECT_S) -> socket.socket:
        """A socket, blocking, that is connected to a port of the guest.

        Raises:
            VsockRefusedError: nobody listens there.
            MachineTimeoutError: the guest did not answer in time.
        """
        check_port(port)
        try:
            async with asyncio.timeout(timeout_s):
                return _connected(await asyncio.wrap_future(self._server.connect(port)), port)
        except TimeoutError:
            raise _too_late(port, timeout_s) from None

    def connect_blocking(self, port: int, *, timeout_s: float = CONNECT_S) -> socket.socket:
        """`connect`, for callers without asyncio."""
        check_port(port)
        found: Future[socket.socket | None] = self._server.connect(port)
        try:
            return _connected(found.result(timeout_s), port)
        except TimeoutError:
            if not found.cancel():  # it came at the last moment
                return _connected(found.result(), port)
            raise _too_late(port, timeout_s) from None

    def listen(self, port: int) -> socket.socket:
        """A socket that takes the guest's connections to a port of the host (CID 2).

        It is listening, and blocking.

        Raises:
            SampanError: somebody listens there already.
        """
        check_port(port)
        name, _ = names_for_host_port(port)
        bound = unixsocket.bind(self.folder / name).socket
        bound.setblocking(True)
        bound.listen(_BACKLOG)
        return bound

    def reset(self) -> None:
        """Close all connections, as when the guest has forgotten them."""
        self._server.reset()

    @property
    def connections(self) -> int:
        """How many there are."""
        return self._server.count


class BlockingEndpoint:
    """See `Endpoint`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self.folder = endpoint.folder
        self.cid = endpoint.cid

    def connect(self, port: int, *, timeout_s: float = CONNECT_S) -> socket.socket:
        """See `Endpoint.connect`."""
        return self._endpoint.connect_blocking(port, timeout_s=timeout_s)

    def listen(self, port: int) -> socket.socket:
        """See `Endpoint.listen`."""
        return self._endpoint.listen(port)

    def reset(self) -> None:
        """See `Endpoint.reset`."""
        self._endpoint.reset()

    @property
    def connections(self) -> int:
        """See `Endpoint.connections`."""
        return self._endpoint.connections


@contextmanager
def opened(wanted: Vsock | None, folder: Path) -> Iterator[Endpoint | None]:
    """The device of a machine that is about to be launched; None if it is to have none.

    `folder` is made for its sockets; whoever owns the one that it is in removes it.

    Raises:
        UsageError: a number makes no sense.
        SampanError: a socket cannot be made.
    """
    if wanted is None:
        yield None
        return
    from sampan.vhost.runtime.vsock_server import VsockServer

    check(wanted)
    folder.mkdir(mode=0o700)
    device_path = folder / "device"
    also = () if wanted.folder is None else (wanted.folder,)
    server = VsockServer(
        device_path, folder, wanted.cid, wanted.ports, also, is_wakeful=wanted.wakeful
    )
    try:
        with _linked(wanted, folder):
            yield Endpoint(server, folder, device_path, wanted.cid)
    finally:
        server.close()


def check(wanted: Vsock) -> None:
    """Refuse what cannot be.

    Raises:
        UsageError: an address or a port is out of its range, or a port is there twice.
    """
    if not MIN_GUEST_CID <= wanted.cid <= MAX_GUEST_CID:
        raise UsageError(
            f"a guest cannot have the vsock address {wanted.cid}",
            hint=f"say {MIN_GUEST_CID} to {MAX_GUEST_CID}; {HOST_CID} is the host",
        )
    for port in wanted.ports:
        check_port(port)
    if len(set(wanted.ports)) != len(wanted.ports):
        raise UsageError(f"a vsock port twice: {', '.join(map(str, wanted.ports))}")


def check_port(port: int) -> None:
    """Refuse what is no port.

    Raises:
        UsageError: it is none.
    """
    if not 0 <= port <= MAX_PORT:
        raise UsageError(f"there is no vsock port {port}", hint=f"say 0 to {MAX_PORT}")


@contextmanager
def _linked(wanted: Vsock, folder: Path) -> Iterator[None]:
    """Links to the sockets, where the spec wants them; what a crash left there is replaced."""
    if wanted.folder is None:
        yield
        return
    names = [CONNECT, UNIFIED]
    for port in wanted.ports:
        names += names_for_guest_port(wanted.cid, port)
    is_new = not wanted.folder.exists()
    made: list[Path] = []
    try:
        for name in names:
            _link(wanted.folder / name, folder / name)
            made.append(wanted.folder / name)
        yield
    finally:
        for path in made:
            with suppress(OSError):
                if path.readlink().parent == folder.absolute():  # not of a machine after us
                    path.unlink()
        if is_new:
            with suppress(OSError):
                wanted.folder.rmdir()


def _link(path: Path, target: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or path.is_socket():
            path.unlink()
        path.symlink_to(target.absolute())
    except OSError as error:
        raise MachineError(
            f"cannot make the link {path} to a socket of the machine: {error.strerror}",
            hint="name another folder for its vsock, or move away what is there",
        ) from error


def _connected(found: socket.socket | None, port: int) -> socket.socket:
    if found is None:
        raise VsockRefusedError(
            f"the guest refuses a connection to its vsock port {port}",
            hint="does a program in the guest listen there?",
        )
    return found


def _too_late(port: int, timeout_s: float) -> MachineTimeoutError:
    return MachineTimeoutError(
        f"the guest did not answer at its vsock port {port} within {timeout_s:g} s"
    )
