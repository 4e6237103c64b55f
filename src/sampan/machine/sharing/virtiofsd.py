"""virtiofsd: the other server of virtiofs, for those who name it (`--virtiofsd`).

Both programs of that name are known: QEMU's own in C (Debian 12 has it in qemu-system-common),
and the one in Rust that came after it (Debian's package virtiofsd). Each confines itself to the
shared folder (pivot_root into it, in namespaces of its own): no link and no `..` leads out.

Without root it runs in a user namespace. Where the user has subordinate ids (/etc/subuid, and
newuidmap to use them) guest's owners are kept as those; else all files are the user's own, and
`chown` in the guest is refused. As root, owners are the guest's; making device nodes is refused
either way.

A read-only share is a mount that is read-only, in the daemon's own mount namespace: what the
guest does to its side changes nothing.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import msgspec

from sampan.base import proc
from sampan.errors import ToolMissingError
from sampan.machine.device import Share

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


def find(name: Path) -> Program:
    """The virtiofsd that a user names: by its path, or just by name if it is installed.

    Raises:
        ToolMissingError: it is no program.
    """
    if name.name == str(name) and not name.exists():
        return _identified(proc.find_tool(str(name)))
    if not os.access(name, os.X_OK) or name.is_dir():
        raise ToolMissingError(f"{name} is not a program", hint="it should be virtiofsd")
    return _identified(name.absolute())


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


def hint(said: str) -> str | None:
    """What to do about what virtiofsd said at its end."""
    if said.startswith("mount:"):
        return (
            "without root, a read-only share of virtiofsd can have no file systems mounted below "
            "it; leave --virtiofsd away"
        )
    if "unshare" in said or "newuidmap" in said:
        return (
            "virtiofsd without root needs user namespaces, which this host does not allow: leave "
            "--virtiofsd away"
        )
    return None
