"""Owners and modes that the host does not have: a record that is kept beside each file.

A user without privileges can give a file to nobody else, must not be given a setuid program by a
guest, and cannot make a device. The guest sees what the record says; the host's file is a plain
one of the user's, who can always read and write it (and enter it, if it is a folder). The record
is text, in one extended attribute: `UID:GID:MODE`, the mode with its type in octal, and
`:MAJOR:MINOR` more for a device. FIFOs, sockets and devices are empty regular files on the host.

Without a record, what is the user's is shown as root's, and all else as nobody's. If the host's
mode has been changed since the record was made, the guest sees the new one, with the record's
setuid, setgid and sticky bits.
"""

from __future__ import annotations

import os
import re
import stat
from typing import NamedTuple

from sampan.vhost.core.fuse.reply import Owner

RESERVED = b"user.sampan."  # names of extended attributes that a guest does not see
NAME = RESERVED + b"owner"
FOREIGN = RESERVED + b"of."  # before names that the host would refuse: security., trusted.
MAX_BYTES = 64
NOBODY = 65534
_FORM = re.compile(rb"(\d{1,10}):(\d{1,10}):([0-7]{1,7})(?::(\d{1,4}):(\d{1,7}))?")
_PLAIN = 0o777
_SPECIAL = 0o7000
_U32 = 0xFFFFFFFF
_MADE_OF_FILES = (stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
_DEVICES = (stat.S_IFCHR, stat.S_IFBLK)


class Host(NamedTuple):
    """What the host has: the mode with its type, and whether the file is the server's user's."""

    mode: int
    ours: bool


def parse(data: bytes) -> Owner | None:
    """What a record says; None if it is none, as when the host's user wrote it."""
    form = _FORM.fullmatch(data)
    if form is None:
        return None
    uid, gid, mode = int(form[1]), int(form[2]), int(form[3], 8)
    is_device = stat.S_IFMT(mode) in _DEVICES
    if max(uid, gid) > _U32 or mode >= 1 << 16 or is_device != (form[4] is not None):
        return None
    device = pack_device(int(form[4]), int(form[5])) if is_device else 0
    return Owner(mode, uid, gid, device)


def emit(owner: Owner) -> bytes:
    """The record's text."""
    text = f"{owner.uid}:{owner.gid}:{owner.mode:o}"
    if stat.S_IFMT(owner.mode) in _DEVICES:
        text += f":{os.major(owner.device)}:{os.minor(owner.device)}"
    return text.encode()


def pack_device(major: int, minor: int) -> int:
    """A device's number as FUSE has it: 12 bits of major and 20 of minor, the low 8 first."""
    return (minor & 0xFF) | (major & 0xFFF) << 8 | (minor & 0xFFF00) << 12


def default(host: Host) -> Owner:
    """What a guest is shown of a file that has no record."""
    owner = 0 if host.ours else NOBODY
    return Owner(host.mode, owner, owner)


def shown(host: Host, record: Owner | None) -> Owner:
    """What a guest is shown of a file."""
    if record is None or not fits(host.mode, record.mode):
        return default(host)
    if host.mode & _PLAIN == kept(record.mode) & _PLAIN:
        return record
    changed = record.mode & ~_PLAIN | host.mode & _PLAIN
    return record._replace(mode=changed)


def fits(host: int, mode: int) -> bool:
    """Whether a host's file can stand for one of this mode."""
    kind = stat.S_IFMT(mode)
    return stat.S_IFMT(host) == (stat.S_IFREG if kind in _MADE_OF_FILES else kind)


def kept(mode: int) -> int:
    """The mode (with its type) of the host's file that stands for one of this mode."""
    if stat.S_ISDIR(mode):
        return stat.S_IFDIR | mode & _PLAIN | 0o700
    return stat.S_IFREG | mode & _PLAIN | 0o600


def needed(owner: Owner, *, ours: bool = True) -> bool:
    """Whether there must be a record, so that this is shown."""
    host = Host(kept(owner.mode), ours)
    return owner != default(host)


def without_privileges(mode: int) -> int:
    """The mode of a file that was written to or given away: neither setuid nor setgid.

    setgid on a file whose group may not execute it is no privilege; it means other things.
    """
    if stat.S_ISDIR(mode):
        return mode
    mode &= ~stat.S_ISUID
    return mode & ~stat.S_ISGID if mode & stat.S_IXGRP else mode


def hidden(name: bytes) -> bool:
    """Whether an extended attribute of the host is none of the guest's business."""
    return name.startswith(RESERVED) and not name.startswith(FOREIGN)


def on_host(name: bytes) -> bytes | None:
    """What the host calls the guest's extended attribute; None: there can be none of that name."""
    if name.startswith((b"security.", b"trusted.")):
        return FOREIGN + name
    return name if name.startswith(b"user.") and not name.startswith(RESERVED) else None


def in_guest(name: bytes) -> bytes | None:
    """What the guest calls the host's extended attribute; None: it does not see it."""
    if name.startswith(FOREIGN):
        return name[len(FOREIGN) :]
    return name if name.startswith(b"user.") and not name.startswith(RESERVED) else None
