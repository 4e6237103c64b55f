"""Programs of the guest: start, wait, explain; `subprocess` is too slow to import here."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from sampan.guest.agent.fault import AgentError

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def find(*names: str) -> str | None:
    """The path of the first of these programs that is installed."""
    for name in names:
        for folder in SEARCH_PATH.split(":"):
            path = f"{folder}/{name}"
            if os.access(path, os.X_OK):
                return path
    return None


def start(argv: Sequence[str], *, stdout: int = 1, stderr: int = 2) -> int:
    """Start `argv` (a path and arguments), reading nothing; its process id.

    Raises:
        AgentError: there is no such program.
    """
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    ]
    environment = {"PATH": SEARCH_PATH, "HOME": "/root", "TERM": "linux"}
    try:
        return os.posix_spawn(argv[0], tuple(argv), environment, file_actions=actions)
    except OSError as error:
        raise AgentError(f"cannot start {argv[0]}: {error.strerror}") from error


def wait(pid: int) -> int:
    """Wait for a child; its status: 0 well, above 0 its own, 128 + N when signal N killed it."""
    return decode(os.waitpid(pid, 0)[1])


def decode(raw: int) -> int:
    """The status of waitpid(2) as shells give it."""
    code = os.waitstatus_to_exitcode(raw)
    return code if code >= 0 else 128 - code


def run(argv: Sequence[str]) -> tuple[int, str]:
    """Run a short program to its end; its status and what it said (both streams)."""
    reader, writer = os.pipe()
    try:
        pid = start(argv, stdout=writer, stderr=writer)
    finally:
        os.close(writer)
    with open(reader, "rb") as stream:
        said = stream.read()
    return wait(pid), said.decode(errors="replace").strip()


def is_deaf(status: str) -> bool:
    """Whether SIGTERM would do nothing to the process whose `/proc/PID/status` this is.

    The kernel drops signals that the first process of a PID namespace has no handler for;
    only SIGKILL ends such a process, and waiting for it would be waiting in vain.
    """
    fields = dict(line.partition(":")[::2] for line in status.splitlines())
    pids = fields.get("NSpid", "").split()
    caught = int(fields.get("SigCgt", "").strip() or "0", 16)
    return len(pids) > 1 and pids[-1] == "1" and not caught >> (signal.SIGTERM - 1) & 1


def explain(status: int) -> str:
    """`ended with status 3`, `was killed by SIGKILL`."""
    if status > 128:
        try:
            return f"was killed by {signal.Signals(status - 128).name}"
        except ValueError:
            pass
    return f"ended with status {status}"
