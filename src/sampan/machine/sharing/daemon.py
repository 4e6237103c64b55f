"""The servers of a machine's virtiofs shares: a process each, started before it, gone with it.

It is our own (`sampan.vhost.share`), or a virtiofsd that the user named. Each is given a socket
that listens already, so nobody waits for a path to appear. A share never lets the guest out of
its folder: how, the servers say.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeAlias

from sampan.base import log, proc
from sampan.errors import UnsupportedError
from sampan.machine.device import Share, ShareKind
from sampan.machine.error import MachineError
from sampan.machine.sharing import virtiofsd
from sampan.machine.sharing.control import Control
from sampan.machine.sharing.virtiofsd import Privilege
from sampan.machine.state import Folder

_log = log.get(__name__)
_MESSAGE_BYTES = 4 << 10
STOP_S = 2.0
_NOISE = re.compile(r"virtio_|fv_|\[.* INFO ")
Command: TypeAlias = Callable[[Share, int, int | None], tuple[str, ...]]
"""The command line that serves a share at a descriptor, controlled by another one."""


def argv(share: Share, fd: int, control_fd: int | None) -> tuple[str, ...]:
    """The command line of our own server."""
    return (
        sys.executable, "-P", "-m", "sampan.vhost.share", f"--fd={fd}", f"--source={share.source}",
        f"--tag={share.tag}", *([f"--owners={share.owners}"] if share.owners else []),
        *(["--read-only"] if share.read_only else []),
        *([] if control_fd is None else [f"--control={control_fd}"]),
    )  # fmt: skip


class ShareError(MachineError):
    """A folder cannot be shared: its server did not start, or ended."""


class Daemon:
    """One running server, listening at `path`; made by `start`."""

    def __init__(self, share: Share, path: Path, process: proc.Child) -> None:
        self.share = share
        self.path = path
        self.pid = process.pid
        self._process = process
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._stopped = False
        self._descriptor = os.pidfd_open(process.pid)
        self._loop.add_reader(self._descriptor, self._exited)

    @property
    def messages(self) -> Path:
        """The file with what it printed."""
        return _messages(self.path)

    def fault(self) -> ShareError | None:
        """What was wrong when it ended; None while it runs, or when it did well."""
        if not self._ended.done() or self._stopped or self._ended.result() == 0:
            return None
        said = self._said() or f"its server {proc.explain_status(self._ended.result())}"
        return ShareError(f"cannot share {self.share.source}: {said}", hint=virtiofsd.hint(said))

    async def ended(self) -> None:
        """Wait until it has ended."""
        await asyncio.shield(self._ended)

    async def stop(self) -> None:
        """Wait for it to end, as it does when its machine has; one that does not is killed."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await self.ended()
        if not self._ended.done():
            self._stopped = True
            self._process.kill()
            await self.ended()

    def _exited(self) -> None:
        self._loop.remove_reader(self._descriptor)
        os.close(self._descriptor)
        self._ended.set_result(self._process.wait())
        if fault := self.fault():
            _log.warning("%s", fault)

    def _said(self) -> str:
        """The last of what it printed."""
        with self.messages.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _MESSAGE_BYTES))
            lines = stream.read().decode(errors="replace").splitlines()
        return "\n".join(line for line in lines if line and not _NOISE.match(line))


async def start(
    shares: tuple[Share, ...],
    folder: Folder,
    external: Path | None = None,
    controls: Mapping[str, Control] | None = None,
) -> tuple[Daemon, ...]:
    """Start a server for each virtiofs share of a machine; the caller stops them.

    `external` is the virtiofsd to use instead of our own; `controls` are for ours, by tag.

    Raises:
        ToolMissingError: `external` is no program.
        UnsupportedError: it cannot do what a share says.
    """
    wanted = [share for share in shares if share.kind is ShareKind.VIRTIOFS]
    if not wanted:
        return ()
    command = argv if external is None else await asyncio.to_thread(_external, external, wanted)
    daemons: list[Daemon] = []
    try:
        for index, share in enumerate(wanted):
            path = folder.share_socket(index)
            control = (controls or {}).get(share.tag)
            process = _start(partial(command, share), path, folder, control)
            daemons.append(Daemon(share, path, process))
    except BaseException:
        await stop(daemons)
        raise
    return tuple(daemons)


def _external(name: Path, shares: Sequence[Share]) -> Command:
    for share in shares:
        for what, is_wanted in (("file events", share.events), ("owners", share.owners)):
            if is_wanted:
                raise UnsupportedError(
                    what, "virtiofsd", "they are a matter of our own server",
                    instead="leave --virtiofsd away",
                )  # fmt: skip
    program, privilege = virtiofsd.find(name), Privilege.ours()
    return lambda share, fd, _: virtiofsd.argv(program, share, privilege, fd)


async def stop(daemons: Sequence[Daemon]) -> ShareError | None:
    """Stop them all; the first fault of one that ended by itself."""
    for daemon in daemons:
        await daemon.stop()
    return next((fault for daemon in daemons if (fault := daemon.fault())), None)


def _start(
    command: Callable[[int, int | None], tuple[str, ...]],
    path: Path,
    folder: Folder,
    control: Control | None,
) -> proc.Child:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        _messages(path).open("wb") as messages,
    ):
        path.unlink(missing_ok=True)  # of a process that this one follows
        listener.bind(str(path))
        listener.listen(1)  # whoever connects waits for the server, not the other way round
        fd, control_fd = listener.fileno(), None if control is None else control.theirs.fileno()
        process = proc.start(
            command(fd, control_fd), stdout=messages, stderr=messages, new_session=True,
            pass_fds=(fd, *(() if control_fd is None else (control_fd,))), env=folder.mark,
        )  # fmt: skip
    if control is not None:
        control.started()
    return process


def _messages(path: Path) -> Path:
    return path.with_suffix(".log")
