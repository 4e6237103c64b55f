"""One node of a file tree: what layers, archives and root filesystems are made of.

A value, nothing else: reading and writing archives is the work of the codecs
(`sampan.oci.tar`, `sampan.formats.cpio`), which all speak this type.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

NAME_MAX = 255
"""Bytes that one part of a name may have: more fit into no filesystem of Linux."""


class Kind(StrEnum):
    """What a node is; the letters are those of `ls -l` and `find -type`, and `h` for hard links."""

    FILE = "f"
    DIRECTORY = "d"
    SYMLINK = "l"
    HARDLINK = "h"
    CHARACTER = "c"
    BLOCK = "b"
    FIFO = "p"


class Entry(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A node without its content.

    `name` is relative and clean: no leading or trailing `/`, no `.` or `..` component; the
    root itself is the empty string. Bytes that are not UTF-8 are kept as surrogates
    (`os.fsdecode`). `mode` holds the permission bits with setuid, setgid and sticky, not the
    type. `target` is a symlink's text as it stands, or the clean name a hard link points to.
    """

    name: str
    kind: Kind
    mode: int
    uid: int = 0
    gid: int = 0
    mtime_ns: int = 0
    size: int = 0
    target: str = ""
    device: tuple[int, int] = (0, 0)
    xattrs: tuple[tuple[str, bytes], ...] = ()
    uname: str = ""
    gname: str = ""
