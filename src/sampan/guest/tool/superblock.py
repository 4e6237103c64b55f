"""Which filesystem a device has, and what it is called: read from the superblock.

Offsets are those of each filesystem's own description: ext4 and xfs in the Linux documentation,
btrfs' on-disk format, Microsoft's FAT specification, ECMA-119. What is not known is None, which
does not mean that the device is empty.
"""

from __future__ import annotations

import os

_READ_BYTES = 65536 + 1024


class Volume:
    """A filesystem on a device."""

    __slots__ = ("kind", "label", "uuid")

    def __init__(self, kind: str, label: str, uuid: str) -> None:
        self.kind = kind
        self.label = label
        self.uuid = uuid

    def __repr__(self) -> str:
        return f"Volume({self.kind!r}, {self.label!r}, {self.uuid!r})"


def probe(path: str) -> Volume | None:
    """The filesystem on the device `path`, if it is one of those known here."""
    try:
        with open(path, "rb", buffering=0) as stream:
            return parse(_read(stream.fileno()))
    except OSError:  # no medium, or gone again
        return None


def parse(head: bytes) -> Volume | None:
    """The filesystem that begins with `head`."""
    if head[1080:1082] == b"\x53\xef":
        return Volume(_ext(head), _text(head[1144:1160]), _uuid(head[1128:1144]))
    if head[:4] == b"XFSB":
        return Volume("xfs", _text(head[108:120]), _uuid(head[32:48]))
    if head[65600:65608] == b"_BHRfS_M":
        return Volume("btrfs", _text(head[65835:66091]), _uuid(head[65568:65584]))
    if head[32769:32774] == b"CD001":
        return Volume("iso9660", _text(head[32808:32840]), "")
    if head[510:512] == b"\x55\xaa":
        if head[82:90] == b"FAT32   ":
            return Volume("vfat", _text(head[71:82]), _serial(head[67:71]))
        if head[54:59] in (b"FAT12", b"FAT16"):
            return Volume("vfat", _text(head[43:54]), _serial(head[39:43]))
    return None


def _ext(head: bytes) -> str:
    has_journal = head[1024 + 92] & 4
    has_extents = head[1024 + 96] & 0x40
    return "ext4" if has_extents else "ext3" if has_journal else "ext2"


def _read(descriptor: int) -> bytes:
    head = b""
    while len(head) < _READ_BYTES:
        piece = os.read(descriptor, _READ_BYTES - len(head))
        if not piece:
            break
        head += piece
    return head


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace").rstrip()


def _uuid(field: bytes) -> str:
    digits = field.hex()
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts)


def _serial(field: bytes) -> str:
    digits = field[::-1].hex().upper()
    return f"{digits[:4]}-{digits[4:]}"
