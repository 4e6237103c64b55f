"""Partition tables with one partition that fills the disk; pure.

MBR as BIOSes read it, GPT by the UEFI specification 2.10, section 5.3. Tables are pieces of
bytes with the places they go to, in the order in which they are to be written: the first sector,
which makes them count, is last.
"""

from __future__ import annotations

import struct
import zlib

SECTOR_BYTES = 512
START = 2048  # sectors: a MiB, as all partitioning tools align
_MIN_SECTORS = 2 * START
_LINUX = 0x83
_PROTECTIVE = 0xEE
_LINUX_DATA = bytes.fromhex(
    "af3dc60f838472478e793d69d8477de4"
)  # 0FC63DAF-8483-4772-…, mixed endian
_ENTRIES, _ENTRY_BYTES = 128, 128
_ENTRIES_SECTORS = _ENTRIES * _ENTRY_BYTES // SECTOR_BYTES


class Layout:
    """Where the partition is, in sectors, and the table: (offset in bytes, content)."""

    __slots__ = ("pieces", "sectors", "start")

    def __init__(self, start: int, sectors: int, pieces: list[tuple[int, bytes]]) -> None:
        self.start = start
        self.sectors = sectors
        self.pieces = pieces


def fits(sectors: int) -> bool:
    """Whether a disk of that many sectors is large enough for a table and a partition."""
    return sectors >= _MIN_SECTORS


def dos(sectors: int, serial: bytes) -> Layout:
    """An MBR for a disk of `sectors`; `serial` are 4 bytes that identify it.

    A partition of more than 2 TiB cannot be said in it, and is cut there.
    """
    length = min((sectors - START) // START * START, 2**32 - START)
    return Layout(START, length, [(0, _mbr(serial, _LINUX, START, length))])


def gpt(sectors: int, disk_id: bytes, partition_id: bytes) -> Layout:
    """A GPT for a disk of `sectors`; the ids are 16 random bytes each."""
    last = sectors - _ENTRIES_SECTORS - 2
    length = (last + 1 - START) // START * START
    entry = b"".join([
        _LINUX_DATA, _uuid4(partition_id), struct.pack("<QQQ", START, START + length - 1, 0),
        "data".encode("utf-16-le").ljust(72, b"\0"),
    ])  # fmt: skip
    entries = entry.ljust(_ENTRIES * _ENTRY_BYTES, b"\0")

    def header(own: int, other: int, entries_at: int) -> bytes:
        def packed(checksum: int) -> bytes:
            return struct.pack(
                "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, 92, checksum, 0, own, other,
                _ENTRIES_SECTORS + 2, last, _uuid4(disk_id), entries_at, _ENTRIES, _ENTRY_BYTES,
                zlib.crc32(entries),
            )  # fmt: skip

        return packed(zlib.crc32(packed(0)))

    end = sectors - 1
    return Layout(START, length, [
        ((last + 1) * SECTOR_BYTES, entries),
        (end * SECTOR_BYTES, header(end, 1, last + 1)),
        (2 * SECTOR_BYTES, entries),
        (SECTOR_BYTES, header(1, end, 2)),
        (0, _mbr(bytes(4), _PROTECTIVE, 1, min(sectors - 1, 2**32 - 1))),
    ])  # fmt: skip


def _mbr(serial: bytes, kind: int, start: int, length: int) -> bytes:
    beyond = b"\xfe\xff\xff"  # cylinders and heads do not matter any more
    entry = b"\0" + beyond + bytes([kind]) + beyond + struct.pack("<II", start, length)
    return bytes(440) + serial + b"\0\0" + entry + bytes(48) + b"\x55\xaa"


def _uuid4(random: bytes) -> bytes:
    """A random UUID (RFC 9562, 5.4) in GPT's byte order."""
    octets = bytearray(random)
    octets[7] = octets[7] & 0x0F | 0x40  # its version is in the third field, low byte first
    octets[8] = octets[8] & 0x3F | 0x80
    return bytes(octets)
