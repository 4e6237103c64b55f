"""What a running machine keeps on disk: a short runtime folder, and who it belongs to.

Each machine has a folder below the runtime root with its sockets (paths below 104 bytes, the
smallest limit of the systems we run on), QEMU's own messages and the identity of its process.
The owner holds a lock on the folder for as long as it lives, however it ends; whoever starts
the next machine removes the folders nobody holds, and ends a hypervisor left behind in one.

A process is never known by its bare pid, which may belong to somebody else by then, but by
pid, start time and boot.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import select
import signal
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from sampan.base import fs, log, proc
from sampan.machine.error import MachineError

_log = log.get(__name__)

KILL_S = 10.0  # for the kernel to take a killed process away
SOCKET_PATH_LIMIT = 104  # sizeof sun_path on macOS, with its final NUL; Linux has 108
_FOLDER_NAME = re.compile(r"vm-[0-9a-f]{6}")
_LONGEST_NAME = "/vm-123456/vsock/v.sock_4294967294"
_PROC = Path("/proc")
_POLL_S = 0.02
_HAS_PIDFD = hasattr(os, "pidfd_open")  # Linux
MARK = "SAMPAN_MACHINE"
"""The variable that tells hypervisors which runtime folder they belong to."""


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A process that can be told from a later one with the same pid."""

    pid: int
    started: str
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> Identity | None:
        """The identity of process `pid`, or None if there is no such process."""
        started = _start_of(pid)
        return cls(pid, started, boot_id()) if started else None

    def alive(self) -> bool:
        """Whether that very process still exists."""
        return self.boot_id == boot_id() and _start_of(self.pid) == self.started

    def wait(self, timeout_s: float) -> bool:
        """Wait until that very process is gone; whether it is. It need not be our child."""
        if _HAS_PIDFD:
            return _wait_for_descriptor(self, timeout_s)
        end_s = time.monotonic() + timeout_s
        while self.alive():
            if time.monotonic() > end_s:
                return False
            time.sleep(_POLL_S)
        return True

    def kill(self, timeout_s: float = KILL_S) -> bool:
        """End that very process, if it is there, and wait; whether it is gone."""
        if self.alive():
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return self.wait(timeout_s)


def _wait_for_descriptor(identity: Identity, timeout_s: float) -> bool:
    try:
        descriptor = os.pidfd_open(identity.pid)
    except OSError:  # gone already, or a sandbox without pidfds
        return not identity.alive()
    try:
        if not identity.alive():
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))
    finally:
        os.close(descriptor)


class Folder:
    """The runtime folder of one machine; made by `machine_folder`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.control_socket = path / "qmp"
        self.console_socket = path / "console"
        self.supervisor_socket = path / "control"
        self.agent_socket = path / "agent"
        self.state_socket = path / "state"
        self.vsock = path / "vsock"
        self.messages = path / "qemu.log"
        self._identity = path / "process.json"

    def share_socket(self, index: int) -> Path:
        """Where the back end of virtiofs share `index` listens; its messages are `.log`."""
        return self.path / f"share{index}"

    @property
    def mark(self) -> dict[str, str]:
        """What the environment of the machine's process has to say.

        By it that process is found when its owner was killed before it could `record` it.
        """
        return {MARK: str(self.path)}

    def record(self, pid: int) -> None:
        """Remember that process `pid` runs this machine."""
        if identity := Identity.of(pid):
            fs.write_atomically(self._identity, msgspec.json.encode(identity), durable=False)

    def remove(self) -> None:
        """Remove the folder; only what we put there, in case it is not one of ours after all."""
        for path in (
            self.control_socket, self.console_socket, self.supervisor_socket, self.agent_socket, self.state_socket,
            self.messages,
            self._identity,
        ):  # fmt: skip
            path.unlink(missing_ok=True)
        for pattern in (f"{fs.TEMPORARY_PREFIX}*", "share[0-9]*"):  # temporary: a crash's
            for path in self.path.glob(pattern):
                path.unlink(missing_ok=True)
        for path in self.vsock.glob("*"):  # others may have put sockets there, too
            if path.is_socket() or path.is_symlink():
                path.unlink(missing_ok=True)
        try:
            if self.vsock.exists():
                self.vsock.rmdir()
            self.path.rmdir()
        except OSError as error:
            _log.warning("cannot remove %s: %s", self.path, error.strerror)

    def process(self) -> Identity | None:
        """The process that was recorded, whether it lives or not."""
        try:
            return msgspec.json.decode(self._identity.read_bytes(), type=Identity)
        except (OSError, msgspec.MsgspecError):
            return None  # none was recorded: the owner died between two steps


def boot_id() -> str:
    """What tells this boot of the host from every other."""
    path = _PROC / "sys/kernel/random/boot_id"
    if path.exists():
        return path.read_text().strip()
    return proc.run(["sysctl", "-n", "kern.bootsessionuuid"]).stdout.decode().strip()


def runtime_root(preferred: Path | None = None) -> Path:
    """The folder for runtime folders, made if missing: `preferred` when sockets fit there.

    Else (none preferred, or its name is too long) it is `/tmp/sampan-UID`, which has to be
    ours alone: others can write to `/tmp`.

    Raises:
        MachineError: the folder cannot be made, or belongs to somebody else.
    """
    if (
        preferred is not None
        and len(os.fsencode(preferred)) + len(_LONGEST_NAME) < SOCKET_PATH_LIMIT
    ):
        root = preferred
    else:
        root = Path(f"/tmp/sampan-{os.getuid()}")  # short; checked just below
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = root.lstat()
    except OSError as error:
        raise MachineError(
            f"cannot make the runtime folder {root}: {error.strerror}",
            hint="name another one: LaunchOptions.runtime_root, or SAMPAN_RUNTIME_DIR for sampan run",
        ) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise MachineError(
            f"the runtime folder {root} is not a folder of ours alone",
            hint="remove it, or name another one",
        )
    return root


@contextmanager
def machine_folder(root: Path) -> Iterator[Folder]:
    """A new runtime folder, ours for the length of the block; what crashes left is removed."""
    with fs.locked(root / "lock"):
        sweep(root)
        path = root / f"vm-{secrets.token_hex(3)}"
        path.mkdir(mode=0o700)
        owned = _lock_now(path)
    folder = Folder(path)
    try:
        yield folder
    finally:
        folder.remove()
        if owned is not None:
            os.close(owned)


def heal(root: Path) -> None:
    """`sweep`, while nobody makes a folder there; nothing if `root` is gone."""
    if root.is_dir():
        with fs.locked(root / "lock"):
            sweep(root)


def sweep(root: Path) -> None:
    """Remove the folders whose owner is gone, ending the process left in each."""
    for path in root.iterdir():
        if not _FOLDER_NAME.fullmatch(path.name) or (lock := _lock_now(path)) is None:
            continue
        folder = Folder(path)
        try:
            for identity in left_behind(folder):
                _log.warning("ending machine process %d, left by a crash", identity.pid)
                identity.kill()
            folder.remove()
        finally:
            os.close(lock)


def left_behind(folder: Folder) -> tuple[Identity, ...]:
    """The processes of a machine whose owner is gone; two if it was about to move."""
    marked = tuple(_marked(f"{MARK}={folder.path}".encode()))
    recorded = folder.process()
    if recorded is None or recorded in marked or not recorded.alive():
        return marked
    return (recorded, *marked)


def _marked(mark: bytes) -> Iterator[Identity]:
    """The processes of ours with `mark` in their environment; none where there is no /proc."""
    for pid in _pids():
        with suppress(OSError):  # somebody else's, or gone meanwhile
            environment = (_PROC / str(pid) / "environ").read_bytes()
            if mark in environment.split(b"\0") and (identity := Identity.of(pid)):
                yield identity


def _pids() -> list[int]:
    # (a glob looks at each of them, and raises if one goes away at that moment)
    try:
        return [int(name) for name in os.listdir(_PROC) if name.isdecimal()]  # noqa: PTH208
    except FileNotFoundError:
        return []


def _lock_now(folder: Path) -> int | None:
    """A descriptor that holds the folder's lock; None if somebody else does, or it is gone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:  # its owner has just removed it, or it is no folder
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    if not os.fstat(descriptor).st_nlink:  # its owner removed it between these two steps
        os.close(descriptor)
        return None
    return descriptor


def _start_of(pid: int) -> str:
    """When process `pid` started, in a form to compare; empty if there is none."""
    if not _PROC.joinpath("self").exists():
        done = proc.run(["ps", "-o", "lstart=", "-p", str(pid)], check=False)
        return done.stdout.decode().strip()
    try:
        line = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return ""
    fields = line.rpartition(")")[2].split()  # proc(5): the name may hold anything
    # of a process that was killed, the first thread may be gone while others still hold its files
    is_gone = fields[0] in ("Z", "X") and int(fields[17]) <= 1
    return "" if is_gone else fields[19]
