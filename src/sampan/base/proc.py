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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sampan.base import log
from sampan.errors import SampanError, ToolMissingError

_log = log.get(__name__)

Child = subprocess.Popen[bytes]  # what `start` gives; named here so that others need no subprocess
_TAIL_LINES = 15

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
}


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
    # Debian keeps some programs out of an ordinary user's PATH
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
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
) -> Completed:
    """Run a program to its end and return what it printed. `env` is added to ours.

    Raises:
        ToolMissingError: the program is not installed.
        ChildError: it ended with a status other than 0 (unless `check` is off).
        TimeoutError: it took longer than `timeout_s`; it was killed.
    """
    command = _resolve(argv)
    _log.debug("run %s", shlex.join(command))
    feed = stdin if isinstance(stdin, bytes) else None
    source = subprocess.DEVNULL if stdin is None else None if isinstance(stdin, bytes) else stdin
    try:
        done = subprocess.run(
            command,
            input=feed,
            stdin=source,
            capture_output=True,
            cwd=cwd,
            env=_environment(env),
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"{command[0]} did not end within {timeout_s} s") from error
    completed = Completed(command, done.returncode, done.stdout, done.stderr)
    if check and completed.status != 0:
        raise ChildError(completed)
    return completed


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
