"""Where a call happens: in the root of the system, or in the container of one of its services.

The agent is in a container of its own, which shares processes, network and devices with the
system but not its files. A child goes where init is (its mounts, its root), or into the mounts
of a container, before it does anything; what names and links mean is settled there.
"""

from __future__ import annotations

import os
import sys

from sampan.guest.remote import kernel
from sampan.guest.remote.fault import CallError

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SERVICES = "/run/sampan/services"  # a folder for each service of our supervisor, with its pid
TASKS = "/run/containerd/io.containerd.runtime.v2.task/services.linuxkit"
RUNTIME_STATE = "/run/containerd/runc/services.linuxkit"


class Place:
    """A root to go to: that of process `pid`, unless it is None (then it is here)."""

    def __init__(self, pid: int | None = 1) -> None:
        self._pid = pid

    def enter(self) -> None:
        """Go there, for good; for a child.

        Raises:
            OSError: the kernel refused.
        """
        if self._pid is None:
            return
        # what is imported from now on would be that place's code: a container's, for instance
        sys.path.clear()
        sys.meta_path.clear()
        root = os.open(f"/proc/{self._pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        mounts = os.open(f"/proc/{self._pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        kernel.enter_mounts(mounts)
        os.fchdir(root)
        os.chroot(".")
        os.chdir("/")
        os.close(mounts)
        os.close(root)

    @property
    def terminals(self) -> str:
        """The path of the device there that makes terminals; they have names only there."""
        return f"/proc/{self._pid or 'self'}/root/dev/ptmx"

    def network_table(self, name: str) -> str:
        """The path of a table of the network there, such as `tcp`."""
        return f"/proc/{self._pid or 'self'}/net/{name}"


def service(name: str) -> Place:
    """The place that a service's container is; to be called in the root of the system.

    Raises:
        CallError: no service of that name runs.
    """
    if "/" in name or name in ("", ".", ".."):
        raise CallError(f"{name!r} cannot be the name of a service")
    for path in (f"{SERVICES}/{name}/pid", f"{TASKS}/{name}/init.pid"):
        try:
            with open(path, encoding="utf-8") as stream:
                pid = int(stream.read())
        except (FileNotFoundError, ValueError):
            continue
        if pid > 1 and os.path.exists(f"/proc/{pid}/root"):
            return Place(pid)
    raise CallError(f"no service {name} runs")


def find(names: tuple[str, ...], search_path: str = SEARCH_PATH) -> str | None:
    """The path of the first of these programs that is there."""
    for name in names:
        for folder in search_path.split(":"):
            path = os.path.join(folder, name)
            if os.access(path, os.X_OK) and not os.path.isdir(path):
                return path
    return None


def container_argv(
    name: str, argv: list[str], *, env: dict[str, str], cwd: str, user: str, terminal: bool
) -> list[str]:
    """How the OCI runtime starts a program in a service's container, with the limits it has.

    Raises:
        CallError: there is no runtime, or the user is not a number.
    """
    tool = find(("crun", "runc"))
    if tool is None:
        raise CallError("the system has no OCI runtime")
    if user and not user.replace(":", "", 1).isdecimal():
        raise CallError(f"in a container a user is a number, not {user!r}")
    state = ["--root", RUNTIME_STATE] if os.path.isdir(f"{RUNTIME_STATE}/{name}") else []
    words = [tool, *state, "exec"]
    words += ["--tty"] if terminal else []
    words += ["--cwd", cwd] if cwd else []
    words += ["--user", user] if user else []
    for key, value in env.items():
        words += ["--env", f"{key}={value}"]
    return [*words, name, *argv]
