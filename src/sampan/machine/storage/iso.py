"""A small ISO 9660 writer: a flat disc of a few files, the same bytes for the same content.

Names survive as they are by Rock Ridge (System Use Sharing Protocol 1.12 and Rock Ridge
Interchange Protocol 1.12), which Linux prefers; a reader without it sees names of ISO 9660
level 2 (`USER_DATA.;1`). ECMA-119 is the standard behind the fields. Pure.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Mapping

from sampan.errors import UsageError

BLOCK_BYTES = 2048
MAX_CONTENT_BYTES = 64 << 20
_MAX_FILES = 1000
_FIRST_BLOCK = 16  # the blocks before are left to whoever boots from the disc
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_LABEL = re.compile(r"[ -~]{1,32}")
_MADE = (117, 4, 18, 16, 30, 0, 0)  # 2017-04-18T16:30:00Z, as all that is made here
_MADE_LONG = b"2017041816300000\0"
_FOLDER_MODE, _FILE_MODE = 0o040555, 0o100444


def build(label: str, files: Mapping[str, bytes]) -> bytes:
    """The bytes of a disc with that volume label and those files.

    Raises:
        UsageError: a name, the label, or the size of all is not for such a disc.
    """
    _check(label, files)
    names = sorted(_short_names(files).items())
    table_at = _FIRST_BLOCK + 2
    root_at = table_at + 2
    root_bytes = len(_folder(root_at, BLOCK_BYTES, [(short, name, 0, 0) for short, name in names]))
    place = root_at + root_bytes // BLOCK_BYTES
    entries, content = [], []
    for short, name in names:
        data = files[name]
        entries.append((short, name, place, len(data)))
        content.append(_padded(data))
        place += len(content[-1]) // BLOCK_BYTES
    disc = b"".join([
        bytes(_FIRST_BLOCK * BLOCK_BYTES),
        _volume(label, blocks=place, table_at=table_at, root=_record(b"\0", root_at, root_bytes)),
        _padded(struct.pack("<B5sB", 255, b"CD001", 1)),
        _padded(_path_table("<", root_at)),
        _padded(_path_table(">", root_at)),
        _folder(root_at, root_bytes, entries),
        *content,
    ])  # fmt: skip
    assert len(disc) == place * BLOCK_BYTES
    return disc


def _check(label: str, files: Mapping[str, bytes]) -> None:
    if not _LABEL.fullmatch(label):
        raise UsageError(f"a disc cannot be called {label!r}", hint="1 to 32 characters of ASCII")
    for name in files:
        if not _NAME.fullmatch(name):
            raise UsageError(f"{name!r} is no name for a file of a disc here")
    total = sum(map(len, files.values()))
    if total > MAX_CONTENT_BYTES or len(files) > _MAX_FILES:
        raise UsageError(
            f"{total} bytes in {len(files)} files are too much for a disc here",
            hint=f"at most {MAX_CONTENT_BYTES >> 20} MiB in {_MAX_FILES} files",
        )


def _short_names(files: Iterable[str]) -> dict[str, str]:
    """ISO 9660 names (ECMA-119, 7.5; level 2), each once, and the names they stand for."""
    found: dict[str, str] = {}
    for name in sorted(files):
        plain = re.sub("[^A-Z0-9_]", "_", name.upper())[:30]
        short, number = plain, 0
        while f"{short}.;1" in found:
            number += 1
            short = f"{plain[:26]}{number:04}"
        found[f"{short}.;1"] = name
    return found


def _folder(root_at: int, size: int, entries: list[tuple[str, str, int, int]]) -> bytes:
    """The root folder; `entries` are short name, name, block and size, by short name."""
    records = [
        _record(b"\0", root_at, size, _sharing() + _posix(_FOLDER_MODE, 2) + _extension()),
        _record(b"\1", root_at, size, _posix(_FOLDER_MODE, 2)),
    ]
    for short, name, place, length in entries:
        own = _posix(_FILE_MODE, 1) + _alternate_name(name)
        records.append(_record(short.encode(), place, length, own, folder=False))
    blocks = bytearray()
    for record in records:
        room = -len(blocks) % BLOCK_BYTES
        if room < len(record):
            blocks += bytes(room)  # no record crosses the border of a block
        blocks += record
    return _padded(bytes(blocks))


def _record(
    name: bytes, place: int, size: int, system_use: bytes = b"", *, folder: bool = True
) -> bytes:
    """A directory record (ECMA-119, 9.1)."""
    padding = b"" if len(name) % 2 else b"\0"
    body = b"".join([
        b"\0", _both32(place), _both32(size), bytes(_MADE), bytes([0x02 if folder else 0, 0, 0]),
        _both16(1), bytes([len(name)]), name, padding, system_use,
    ])  # fmt: skip
    odd = b"" if len(body) % 2 else b"\0"
    return bytes([len(body) + len(odd) + 1]) + body + odd


def _sharing() -> bytes:
    return b"SP\x07\x01\xbe\xef\x00"  # SUSP, 5.3


def _extension() -> bytes:
    name = b"RRIP_1991A"  # RRIP, 4.3; its description and source may be empty (SUSP, 5.5)
    return b"ER" + bytes([8 + len(name), 1, len(name), 0, 0, 1]) + name


def _posix(mode: int, links: int) -> bytes:
    return b"PX\x24\x01" + _both32(mode) + _both32(links) + _both32(0) + _both32(0)  # RRIP, 4.1.1


def _alternate_name(name: str) -> bytes:
    return b"NM" + bytes([5 + len(name), 1, 0]) + name.encode()  # RRIP, 4.1.4


def _path_table(order: str, root_at: int) -> bytes:
    return struct.pack(f"{order}BBIHBB", 1, 0, root_at, 1, 0, 0)  # ECMA-119, 9.4


def _volume(label: str, *, blocks: int, table_at: int, root: bytes) -> bytes:
    """The primary volume descriptor (ECMA-119, 8.4)."""
    blank = b" " * 128
    descriptor = b"".join([
        struct.pack("<B5sBB", 1, b"CD001", 1, 0),
        b" " * 32, label.encode().ljust(32), bytes(8), _both32(blocks), bytes(32),
        _both16(1), _both16(1), _both16(BLOCK_BYTES), _both32(10),
        struct.pack("<II", table_at, 0), struct.pack(">II", table_at + 1, 0), root,
        blank, blank, blank, blank, b" " * 37 * 3,
        _MADE_LONG, _MADE_LONG, b"0" * 16 + b"\0", b"0" * 16 + b"\0", b"\1\0",
    ])  # fmt: skip
    return _padded(descriptor)


def _both16(value: int) -> bytes:
    return struct.pack("<H", value) + struct.pack(">H", value)


def _both32(value: int) -> bytes:
    return struct.pack("<I", value) + struct.pack(">I", value)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK_BYTES)
