"""The program that serves a folder to one machine: `python -m sampan.vhost.share --fd N ...`.

The parent gives it a Unix socket that listens (`--fd`), where the machine's hypervisor connects
as to any vhost-user-fs device. It ends when the hypervisor hangs up (status 0), or when nothing
can be served any more (status 1, and a line on stderr). What the parent may tell it meanwhile
(`--control`) is in `sampan.vhost.core.fuse.control`.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sampan.base import log
from sampan.base.loop import Loop
from sampan.base.poller import READ
from sampan.errors import SampanError
from sampan.vhost.runtime.backend import CLOSED, Backend
from sampan.vhost.runtime.fuse import confinement
from sampan.vhost.runtime.fuse.control import Control
from sampan.vhost.runtime.fuse.device import ShareDevice
from sampan.vhost.runtime.fuse.doing import Doings
from sampan.vhost.runtime.fuse.owner import HostOwners, Owners, RecordedOwners
from sampan.vhost.runtime.fuse.server import Server
from sampan.vhost.runtime.fuse.share import CACHE_S, Setting, Share, raise_limit, share
from sampan.vhost.runtime.fuse.teller import Teller

_OWNERS: dict[str, Callable[[], Owners]] = {"host": HostOwners, "attributes": RecordedOwners}


class Program:
    """A loop, the listening socket, and whoever has connected to it."""

    def __init__(self, options: argparse.Namespace, served: Share) -> None:
        self.status = 0
        self._loop = Loop(name="share")
        server = Server(served) if options.control is None else self._told(served, options.control)
        self._device = ShareDevice(self._loop, options.tag, server)
        self._listener = socket.socket(fileno=options.fd)
        self._listener.setblocking(False)
        self._loop.watch(self._listener.fileno(), READ, self._connected)

    def run(self) -> int:
        """Serve until it is over; the exit status."""
        self._loop.run()
        return self.status

    def _told(self, served: Share, fd: int) -> Server:
        """A server that the parent tells what happened on the host."""
        doings, teller = Doings(served.nodes), Teller(served, self._loop.now)
        connection = socket.socket(fileno=fd)
        Control(self._loop, connection, teller, doings.is_own, self._orphaned)
        return Server(served, teller=teller, done=doings.done)

    def _orphaned(self) -> None:
        """The parent has hung up: without a machine there is nothing to wait for."""
        if self._listener.fileno() >= 0:
            self._loop.stop()

    def _connected(self, _: int) -> None:
        try:
            connection, _ = self._listener.accept()
        except BlockingIOError:
            return
        self._loop.unwatch(self._listener.fileno())
        self._listener.close()
        Backend(self._loop, connection, self._device, self._ended)

    def _ended(self, why: str) -> None:
        if why != CLOSED:
            _say(why)
            self.status = 1
        self._loop.stop()


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; the exit status."""
    options = _parser().parse_args(arguments)
    log.to_stderr(1)
    os.umask(0)  # the guest's kernel has applied that of its tasks
    try:
        program = Program(options, _open(options))
    except (OSError, SampanError) as error:
        _say(f"cannot share {options.source}: {error}")
        return 1
    return program.run()


def _open(options: argparse.Namespace) -> Share:
    limit = raise_limit()
    source = options.source.absolute()
    os.close(os.open(source, os.O_RDONLY | os.O_DIRECTORY))  # says best what is wrong with it
    kind = options.owners or ("host" if os.geteuid() == 0 else "attributes")
    root = Path("/") if confinement.confine(source) else source
    setting = Setting(options.read_only, options.cache, confinement.HERE)
    return share(root, _OWNERS[kind](), setting, limit)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sampan.vhost.share", allow_abbrev=False)
    add = parser.add_argument
    add("--fd", type=int, required=True, help="a Unix socket that listens")
    add("--source", type=Path, required=True, metavar="DIR")
    add("--control", type=int, metavar="FD", help="a Unix socket, for what the parent has to tell")
    add("--tag", required=True, help="what the guest mounts")
    add("--read-only", action="store_true")
    add("--owners", choices=sorted(_OWNERS), help="host for root, attributes for others")
    add("--cache", type=float, default=CACHE_S, metavar="SECONDS")
    return parser


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    raise SystemExit(main())
