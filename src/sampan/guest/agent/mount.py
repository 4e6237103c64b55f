"""Mounts as system calls: fstab-style options become flags, data and propagation.

Pure: `calls` says which mount(2) calls a mount of `runtime.json` means; `kernel.mount` makes
them. Numbers are those of Linux' `<linux/mount.h>`.
"""

from __future__ import annotations

import os

from sampan.guest.agent.document import Mount

BIND = 0x1000
REMOUNT = 0x20
READ_ONLY = 0x1
RECURSIVE = 0x4000

# option → (flags to set, flags to clear)
_FLAGS: dict[str, tuple[int, int]] = {
    "async": (0, 0x10),
    "atime": (0, 0x400),
    "bind": (BIND, 0),
    "defaults": (0, 0),
    "dev": (0, 0x4),
    "diratime": (0, 0x800),
    "dirsync": (0x80, 0),
    "exec": (0, 0x8),
    "mand": (0x40, 0),
    "noatime": (0x400, 0),
    "nodev": (0x4, 0),
    "nodiratime": (0x800, 0),
    "noexec": (0x8, 0),
    "nomand": (0, 0x40),
    "norelatime": (0, 0x200000),
    "nostrictatime": (0, 0x1000000),
    "nosuid": (0x2, 0),
    "rbind": (BIND | RECURSIVE, 0),
    "relatime": (0x200000, 0),
    "remount": (REMOUNT, 0),
    "ro": (READ_ONLY, 0),
    "rw": (0, READ_ONLY),
    "strictatime": (0x1000000, 0),
    "suid": (0, 0x2),
    "sync": (0x10, 0),
}
_PROPAGATION = {
    "private": 1 << 18,
    "rprivate": 1 << 18 | RECURSIVE,
    "shared": 1 << 20,
    "rshared": 1 << 20 | RECURSIVE,
    "slave": 1 << 19,
    "rslave": 1 << 19 | RECURSIVE,
    "unbindable": 1 << 17,
    "runbindable": 1 << 17 | RECURSIVE,
}


class Call:
    """One mount(2)."""

    __slots__ = ("data", "flags", "source", "target", "type")

    def __init__(self, source: str, target: str, type_: str, flags: int, data: str) -> None:
        self.source = source
        self.target = target
        self.type = type_
        self.flags = flags
        self.data = data

    def __repr__(self) -> str:
        return f"mount({self.source!r}, {self.target!r}, {self.type!r}, {self.flags:#x}, {self.data!r})"


def calls(mount: Mount, root: str) -> tuple[Call, ...]:
    """The system calls that make `mount`, in order; `root` is the container's root directory.

    A bind mount takes other flags only when it is remounted, and propagation is a call of its
    own: mount(2) does one thing at a time.
    """
    flags = 0
    propagation: list[int] = []
    data = []
    for option in mount.options:
        if option in _FLAGS:
            on, off = _FLAGS[option]
            flags = (flags | on) & ~off
        elif option in _PROPAGATION:
            propagation.append(_PROPAGATION[option])
        else:
            data.append(option)
    target = target_path(mount, root)
    planned = []
    if flags & BIND and not flags & REMOUNT:
        planned.append(Call(mount.source, target, "", flags & (BIND | RECURSIVE), ""))
        if flags & ~(BIND | RECURSIVE):
            planned.append(Call("", target, "", (flags | REMOUNT) & ~RECURSIVE, ""))
    elif flags != REMOUNT or data or not propagation:
        # (a "remount" that only says "private" changes the propagation and nothing else)
        planned.append(Call(mount.source, target, mount.type, flags, ",".join(data)))
    planned += [Call("", target, "", value, "") for value in propagation]
    return tuple(planned)


def folders(mount: Mount, root: str) -> tuple[str, ...]:
    """The directories that must exist before `mount`: overlay's upper and work, the target."""
    wanted = [
        option.partition("=")[2]
        for option in mount.options
        if option.startswith(("upperdir=", "workdir="))
    ]
    return (*wanted, target_path(mount, root))


def target_path(mount: Mount, root: str) -> str:
    """Where `mount` goes; a relative destination is inside the container's root."""
    return os.path.join(root, mount.destination)
