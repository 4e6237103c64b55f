"""The only place that starts programs of the host.

Everything else asks here, so that each child is found (or its package named), logged, timed
out and, when it fails, explained: what it was, how it ended, what it said, and the exact
command to paste.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias

from sampan.base import log
from sampan.errors import SampanError, ToolMissingError

_log = log.get(__name__)

Child = subprocess.Popen[bytes]  # what `start` gives; named here so that others need no subprocess
Watch: TypeAlias = Callable[[], object]
"""Looks after a program that runs; ends it by raising."""
_TAIL_LINES = 15
_WATCH_S = 0.1

# program → the Debian package that has it, and the Homebrew one
_PACKAGES = {
    "apt-get": ("apt", None),
    "buildah": ("buildah", None),
    "cpio": ("cpio", "cpio"),
    "crun": ("crun", None),
    "docker": ("docker-cli", "docker"),
    "git": ("git", "git"),
    "qemu-img": ("qemu-utils", "qemu"),
    "qemu-system-aarch64": ("qemu-system-arm", "qemu"),
    "qemu-system-x86_64": ("qemu-system-x86", "qemu"),
    "virtiofsd": ("qemu-system-common (Debian 12), or virtiofsd (later)", None),
}
# Debian keeps some programs out of an ordinary user's PATH, and daemons out of everybody's
_MORE_PLACES = ("/usr/sbin", "/sbin", "/usr/libexec", "/usr/lib/qemu")


@dataclass(frozen=True, slots=True)
class Completed:
    """A child that ended: its arguments, exit status (negative: killed by that signal), output."""

    argv: tuple[str, ...]
    status: int
    stdout: bytes
    stderr: bytes


class ChildError(SampanError):
    """A program of the host failed."""

    def __init__(self, done: Completed) -> None:
        self.done = done
        tail = done.stderr.decode(errors="replace").strip().splitlines()[-_TAIL_LINES:]
        said = "".join(f"\n    {line}" for line in tail)
        super().__init__(
            f"{Path(done.argv[0]).name} {explain_status(done.status)}{said}",
            hint=f"to see it again: {shlex.join(done.argv)}",
        )


def explain_status(status: int) -> str:
    """`ended with status 3`, or `was killed by SIGKILL` for the negative statuses of a child."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was killed by {name}"


def find_tool(name: str) -> Path:
    """The path of program `name`.

    Raises:
        ToolMissingError: it is not on PATH; the hint names the package that has it.
    """
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_MORE_PLACES])
    found = shutil.which(name, path=path)
    if found is None:
        debian, brew = _PACKAGES.get(name, (name, None))
        hint = f"install it: apt install {debian}" + (
            f"   (macOS: brew install {brew})" if brew else ""
        )
        raise ToolMissingError(f"{name} is not installed", hint=hint)
    return Path(found)


def has_tool(name: str) -> bool:
    """Whether program `name` is installed."""
    try:
        find_tool(name)
    except ToolMissingError:
        return False
    return True


def run(
    argv: Sequence[str | Path],
    *,
    stdin: bytes | IO[bytes] | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout_s: float | None = None,
    check: bool = True,
    watch: Watch | None = None,
) -> Completed:
    """Run a program to its end and return what it printed. `env` is added to ours.

    `watch` is called several times a second while the program runs; what it raises ends the
    program. A watched program and all it starts are a process group of their own, which is
    killed whole when this function does not end well (Ctrl-C included).

    Raises:
        ToolMissingError: the program is not installed.
        ChildError: it ended with a status other than 0 (unless `check` is off).
        TimeoutError: it took longer than `timeout_s`; it was killed.
    """
    command = _resolve(argv)
    _log.debug("run %s", shlex.join(command))
    feed, source = (stdin, subprocess.PIPE) if isinstance(stdin, bytes) else (None, stdin)
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL if source is None else source,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=_environment(env),
        process_group=None if watch is None else 0,
    ) as child:
        try:
            stdout, stderr = _communicate(child, feed, timeout_s, watch)
        except subprocess.TimeoutExpired as error:
            _kill(child, group=watch is not None)
            raise TimeoutError(f"{command[0]} did not end within {timeout_s} s") from error
        except BaseException:
            _kill(child, group=watch is not None)
            raise
    completed = Completed(command, child.returncode, stdout, stderr)
    if check and completed.status != 0:
        raise ChildError(completed)
    return completed


def _communicate(
    child: Child, feed: bytes | None, timeout_s: float | None, watch: Watch | None
) -> tuple[bytes, bytes]:
    if watch is None:
        return child.communicate(feed, timeout_s)
    begin_s = time.monotonic()
    while True:
        try:
            return child.communicate(feed, _WATCH_S)
        except subprocess.TimeoutExpired:
            if timeout_s is not None and time.monotonic() - begin_s >= timeout_s:
                raise
        feed = None  # communicate keeps what it has not written yet
        watch()


def _kill(child: Child, *, group: bool) -> None:
    if not group:
        child.kill()
        return
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def start(
    argv: Sequence[str | Path],
    *,
    stdin: int | IO[bytes] | None = subprocess.DEVNULL,
    stdout: int | IO[bytes] | None = None,
    stderr: int | IO[bytes] | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    pass_fds: Sequence[int] = (),
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a program and return at once; the caller waits for it and closes its pipes.

    Raises:
        ToolMissingError: the program is not installed.
    """
    command = _resolve(argv)
    _log.debug("start %s", shlex.join(command))
    return subprocess.Popen(
        command, stdin=stdin, stdout=stdout, stderr=stderr, cwd=cwd, env=_environment(env),
        pass_fds=tuple(pass_fds), start_new_session=new_session,
    )  # fmt: skip


def _resolve(argv: Sequence[str | Path]) -> tuple[str, ...]:
    program, *arguments = (str(word) for word in argv)
    if os.sep not in program:
        program = str(find_tool(program))
    return (program, *arguments)


def _environment(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    return None if extra is None else {**os.environ, **extra}
