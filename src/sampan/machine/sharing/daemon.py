"""virtiofsd: one process for each virtiofs share of a machine, started before it, gone with it.

Both daemons of that name are known: QEMU's own in C (Debian 12 has it in qemu-system-common),
and the one in Rust that came after it (Debian's package virtiofsd). Each is given a socket that
listens already, so nobody waits for a path to appear, and confines itself to the shared folder
(pivot_root into it, in namespaces of its own): no link and no `..` leads out.

Without root the daemon runs in a user namespace. Where the user has subordinate ids
(/etc/subuid, and newuidmap to use them) guest's owners are kept as those; else all files are
the user's own, and `chown` in the guest is refused. As root, owners are the guest's; making
device nodes is refused either way.

A read-only share is a mount that is read-only, in the daemon's own mount namespace: what the
guest does to its side changes nothing.
"""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec

from sampan.base import log, proc
from sampan.errors import ToolMissingError, UnsupportedError
from sampan.machine.device import Share, ShareKind
from sampan.machine.error import MachineError
from sampan.machine.state import Folder

_log = log.get(__name__)
_MESSAGE_BYTES = 4 << 10
STOP_S = 2.0
_NOISE = re.compile(r"virtio_|fv_|\[.* INFO ")
# the shell's words are arguments, never text of the script
_READ_ONLY = 'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" && shift && exec "$@"'


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A virtiofsd that is installed; `rust` tells whose options it has."""

    path: Path
    rust: bool


class Privilege(msgspec.Struct, frozen=True, kw_only=True):
    """What this process may do: it is `root`, or it has `subordinate` ids."""

    root: bool
    subordinate: bool = False

    @classmethod
    def ours(cls) -> Privilege:
        """That of this process."""
        if os.geteuid() == 0:
            return cls(root=True)
        return cls(root=False, subordinate=proc.has_tool("newuidmap") and _has_subordinate_ids())


def _has_subordinate_ids() -> bool:
    user = os.getuid()
    try:
        names = {str(user), pwd.getpwuid(user).pw_name}
    except KeyError:  # a user without an entry
        names = {str(user)}
    for path in (Path("/etc/subuid"), Path("/etc/subgid")):
        try:
            lines = path.read_text(errors="replace").splitlines()
        except OSError:
            return False
        if not any(line.partition(":")[0] in names for line in lines):
            return False
    return True


def find(preferred: Path | None = None) -> Program:
    """The virtiofsd to use: `preferred`, or the first that is installed.

    Raises:
        ToolMissingError: `preferred` is no program.
        UnsupportedError: none is installed; the message says what to do.
    """
    if preferred is not None:
        if not os.access(preferred, os.X_OK) or preferred.is_dir():
            raise ToolMissingError(f"{preferred} is not a program", hint="it should be virtiofsd")
        return _identified(preferred.absolute())
    try:
        return _identified(proc.find_tool("virtiofsd"))
    except ToolMissingError as error:
        raise UnsupportedError(
            "virtiofs", "qemu", "virtiofsd is not installed",
            instead=f"{error.hint}; or share by 9P (--share HOST:GUEST:9p) with a guest whose "
            "kernel has it, such as sampan/kernel-generic",
        ) from error  # fmt: skip


def _identified(path: Path) -> Program:
    done = proc.run([path, "--version"], check=False, timeout_s=10)
    return Program(path=path, rust=b"QEMU Project" not in done.stdout + done.stderr)


def argv(program: Program, share: Share, privilege: Privilege, fd: int) -> tuple[str, ...]:
    """The command line that serves `share` to whoever connects to descriptor `fd`."""
    source = str(share.source)
    daemon = [str(program.path), f"--fd={fd}"]
    if program.rust:
        daemon += [f"--shared-dir={source}", "--modcaps=-mknod"]
    else:
        escaped = source.replace("\\", "\\\\").replace(",", "\\,")  # as libfuse splits options
        daemon += ["-o", f"source={escaped},modcaps=-mknod"]
    if share.read_only:
        daemon = ["sh", "-c", _READ_ONLY, "sh", source, *daemon]
    return (*_namespaces(privilege, mounts=share.read_only), *daemon)


def _namespaces(privilege: Privilege, *, mounts: bool) -> tuple[str, ...]:
    words: list[str] = []
    if not privilege.root:
        words.append("--map-root-user")
        if privilege.subordinate:
            words.append("--map-auto")
    if mounts:
        words += ["--mount", "--propagation", "slave"]
    return ("unshare", *words) if words else ()


class ShareError(MachineError):
    """A folder cannot be shared: virtiofsd did not start, or ended."""


class Daemon:
    """One running virtiofsd, listening at `path`; made by `start`."""

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
        said = self._said() or f"virtiofsd {proc.explain_status(self._ended.result())}"
        return ShareError(f"cannot share {self.share.source}: {said}", hint=_hint(said))

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


def _hint(said: str) -> str | None:
    if said.startswith("mount:"):
        return (
            "without root, a read-only share by virtiofs can have no file systems mounted below it; "
            "share by 9P (--share HOST:GUEST:ro,9p), with a guest whose kernel has it"
        )
    if "unshare" in said or "newuidmap" in said:
        return (
            "virtiofsd without root needs user namespaces, which this host does not allow: "
            "share by 9P (--share HOST:GUEST:9p), with a guest whose kernel has it"
        )
    return None


async def start(
    shares: tuple[Share, ...], folder: Folder, preferred: Path | None = None
) -> tuple[Daemon, ...]:
    """Start a daemon for each virtiofs share of a machine; the caller stops them.

    Raises:
        UnsupportedError: there is no virtiofsd.
    """
    wanted = [share for share in shares if share.kind is ShareKind.VIRTIOFS]
    if not wanted:
        return ()
    program = await asyncio.to_thread(find, preferred)
    privilege = Privilege.ours()
    daemons: list[Daemon] = []
    try:
        for index, share in enumerate(wanted):
            path = folder.share_socket(index)
            process = _start(partial(argv, program, share, privilege), path, folder)
            daemons.append(Daemon(share, path, process))
    except BaseException:
        await stop(daemons)
        raise
    return tuple(daemons)


async def stop(daemons: Sequence[Daemon]) -> ShareError | None:
    """Stop them all; the first fault of one that ended by itself."""
    for daemon in daemons:
        await daemon.stop()
    return next((fault for daemon in daemons if (fault := daemon.fault())), None)


def _start(command: Callable[[int], tuple[str, ...]], path: Path, folder: Folder) -> proc.Child:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener,
        _messages(path).open("wb") as messages,
    ):
        path.unlink(missing_ok=True)  # of a process that this one follows
        listener.bind(str(path))
        listener.listen(1)  # whoever connects waits for the daemon, not the other way round
        return proc.start(
            command(listener.fileno()), stdout=messages, stderr=messages, new_session=True,
            pass_fds=(listener.fileno(),), env=folder.mark,
        )  # fmt: skip


def _messages(path: Path) -> Path:
    return path.with_suffix(".log")
