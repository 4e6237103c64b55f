"""Read a tar archive from a stream, entry by entry, never backwards and never unbounded.

The archive is not trusted: names are cleaned (absolute ones made relative, `..` refused),
numbers and sizes checked, and everything that is kept in memory is bounded by `Limits`.
What the entries mean (whiteouts, links to other layers) is not known here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import IO

from sampan.base.entry import NAME_MAX, Entry, Kind
from sampan.oci.limit import DEFAULT_LIMITS, Limits
from sampan.oci.tar import header as raw
from sampan.oci.tar import pax
from sampan.oci.tar.header import BLOCK, ZEROS, Header, InvalidTarError

CHUNK = 1 << 20

_KINDS = {
    b"0": Kind.FILE, b"\x00": Kind.FILE, b"7": Kind.FILE, b"1": Kind.HARDLINK,
    b"2": Kind.SYMLINK, b"3": Kind.CHARACTER, b"4": Kind.BLOCK, b"5": Kind.DIRECTORY,
    b"6": Kind.FIFO,
}  # fmt: skip
_PAX, _PAX_SUN, _PAX_GLOBAL = b"x", b"X", b"g"
_LONG_NAME, _LONG_TARGET = b"L", b"K"
_VOLUME_LABEL = b"V"
_SHOWN = 80  # bytes of a name in an error
_MAX_ID = 2**32 - 1
_MAX_TIME_NS = 2**63 - 1


class Content:
    """The content of one entry; valid until the next entry is asked for.

    `offset` is where it begins in the archive, in bytes. What is not read is skipped.
    """

    __slots__ = ("_source", "offset", "remaining")

    def __init__(self, source: _Source, size: int) -> None:
        self._source = source
        self.offset = source.position
        self.remaining = size

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes (all that is left when negative); empty at the end.

        Raises:
            InvalidTarError: the archive ends too early.
        """
        wanted = self.remaining if size < 0 else min(size, self.remaining)
        data = self._source.exactly(wanted)
        self.remaining -= wanted
        return data

    def chunks(self, size: int = CHUNK) -> Iterator[bytes]:
        """What is left, in pieces of at most `size` bytes."""
        while self.remaining:
            yield self.read(size)

    def skip(self) -> None:
        """Pass over what is left."""
        self._source.skip(self.remaining)
        self.remaining = 0


class _Source:
    """A stream with a position, that gives exactly what is asked for or fails."""

    __slots__ = ("_limits", "_seekable", "_stream", "position", "what")

    def __init__(self, stream: IO[bytes], limits: Limits, what: str) -> None:
        self._stream = stream
        self._limits = limits
        self._seekable = stream.seekable()
        self.what = what
        self.position = 0

    def upto(self, size: int) -> bytes:
        """`size` bytes, fewer only at the end of the stream."""
        data = self._stream.read(min(size, CHUNK))
        if 0 < len(data) < size:  # pipes give what they have; memory is taken as bytes arrive
            pieces, missing = [data], size - len(data)
            while missing and (more := self._stream.read(min(missing, CHUNK))):
                pieces.append(more)
                missing -= len(more)
            data = b"".join(pieces)
        self.position += len(data)
        self._limits.check_total(self.position, self.what)
        return data

    def exactly(self, size: int) -> bytes:
        data = self.upto(size)
        if len(data) != size:
            raise InvalidTarError(self.what, f"it ends too early, at byte {self.position}")
        return data

    def skip(self, size: int) -> None:
        self._limits.check_total(self.position + size, self.what)
        if self._seekable and size > CHUNK:
            self._stream.seek(size - 1, os.SEEK_CUR)
            self.position += size - 1
            size = 1
        while size:
            size -= len(self.exactly(min(size, CHUNK)))


def read(
    stream: IO[bytes], *, limits: Limits = DEFAULT_LIMITS, what: str = "archive"
) -> Iterator[tuple[Entry, Content]]:
    """The entries of the uncompressed tar in `stream`, each with its content.

    `what` names the archive in errors. Read a content before asking for the next entry. After
    the last entry the stream stands behind the end-of-archive blocks.

    Raises:
        InvalidTarError: it is no tar, it is damaged, or has a type that is not supported.
        LimitError: it has more than `limits` allow.
    """
    source = _Source(stream, limits, what)
    reader = _Reader(source, limits, what)
    count = 0
    while (found := reader.next()) is not None:
        count += 1
        limits.check_entries(count, what)
        entry, content = found
        yield entry, content
        content.skip()
        source.skip(raw.padding(entry.size))


class _Reader:
    """Joins the blocks that together describe one entry."""

    def __init__(self, source: _Source, limits: Limits, what: str) -> None:
        self._source = source
        self._limits = limits
        self._what = what
        self._global: pax.Records = {}
        self._metadata = 0  # bytes of names and extended headers so far

    def next(self) -> tuple[Entry, Content] | None:
        try:
            return self._next()
        except ValueError as error:
            place = f"before byte {self._source.position}"
            raise InvalidTarError(self._what, f"{error} ({place})") from error

    def _next(self) -> tuple[Entry, Content] | None:
        records: pax.Records = {}
        budget = 0
        while True:
            block = self._source.upto(BLOCK)
            if not block or (block == ZEROS and self._at_end()):
                return None
            if len(block) < BLOCK:
                raise ValueError("it ends in the middle of a header")
            header = raw.decode(block)
            if header.type not in b"xXgLKV":
                break
            budget += BLOCK + header.size
            self._limits.check_header(budget, self._what)
            self._extend(header, records)
        self._count(budget)
        entry = self._entry(header, {**self._global, **records} if self._global else records)
        return entry, Content(self._source, entry.size)

    def _at_end(self) -> bool:
        block = self._source.upto(BLOCK)
        if block.strip(b"\x00"):
            raise ValueError("an end-of-archive block stands alone")
        return True

    def _extend(self, header: Header, records: pax.Records) -> None:
        if header.size < 0:
            raise ValueError("an extended header has a size below zero")
        data = self._source.exactly(header.size)
        self._source.skip(raw.padding(header.size))
        match header.type:
            case b"x" | b"X":
                records.update(pax.decode(data))
            case b"g":
                self._global.update(pax.decode(data))
                self._limits.check_header(
                    sum(len(key) + len(value) for key, value in self._global.items()), self._what
                )
            case b"L":
                records["path"] = data.partition(b"\x00")[0]
            case b"K":
                records["linkpath"] = data.partition(b"\x00")[0]
            case _:  # the label of a volume says nothing about the tree
                records.clear()

    def _entry(self, header: Header, records: pax.Records) -> Entry:
        if header.type == b"S" or pax.is_sparse(records):
            raise ValueError("sparse files are not supported; write the archive without --sparse")
        name = records.get("path") or (
            header.prefix + b"/" + header.name if header.prefix else header.name
        )
        kind = _KINDS.get(header.type)
        if kind is None:
            raise ValueError(f"{os.fsdecode(name)!r} is of unknown type {header.type!r}")
        if kind is Kind.FILE and name.endswith(b"/"):
            kind = Kind.DIRECTORY  # how tars older than POSIX write folders
        target = records.get("linkpath") or header.target
        for text in (name, target):
            self._limits.check_name(len(text), self._what)
        self._count(len(name) + len(target))
        clean = _clean(name)
        if not clean and kind is not Kind.DIRECTORY:
            raise ValueError(f"{os.fsdecode(name)!r} names the root but is no folder")
        size = pax.number(records, "size", header.size)
        if size < 0 or size > self._limits.total_bytes:
            raise ValueError(f"{clean!r} has an impossible size, {size}")
        mtime_ns = pax.time_ns(records, "mtime", header.mtime * 10**9)
        return Entry(
            name=clean,
            kind=kind,
            mode=header.mode & 0o7777,
            uid=_identity(pax.number(records, "uid", header.uid), clean),
            gid=_identity(pax.number(records, "gid", header.gid), clean),
            mtime_ns=max(-_MAX_TIME_NS, min(mtime_ns, _MAX_TIME_NS)),
            size=size if kind is Kind.FILE else self._no_content(size, kind, clean),
            target=_target(target, kind, clean),
            device=_device(header, clean) if kind in (Kind.CHARACTER, Kind.BLOCK) else (0, 0),
            xattrs=pax.xattrs(records) if records else (),
            uname=os.fsdecode(records.get("uname") or header.uname),
            gname=os.fsdecode(records.get("gname") or header.gname),
        )

    def _no_content(self, size: int, kind: Kind, name: str) -> int:
        # writers put the linked file's size there; it has no content all the same
        if size and kind not in (Kind.HARDLINK, Kind.SYMLINK, Kind.DIRECTORY):
            raise ValueError(f"{name!r} is no file but has {size} bytes of content")
        return 0

    def _count(self, size: int) -> None:
        self._metadata += size
        self._limits.check_metadata(self._metadata, self._what)


def _clean(name: bytes) -> str:
    """`./usr//bin/` as `usr/bin`."""
    if b"\x00" in name:
        raise ValueError(f"{os.fsdecode(name)!r} has a NUL in its name")
    if len(name) > NAME_MAX and (length := max(map(len, name.split(b"/")))) > NAME_MAX:
        raise ValueError(
            f"a part of a name has {length} bytes, and filesystems take {NAME_MAX}: "
            f"{os.fsdecode(name)[:_SHOWN]!r}..."
        )
    text = os.fsdecode(name)
    if "//" not in text and "./" not in text and not text.endswith((".", "/")) and text[:1] != "/":
        return text
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"{text!r} leads out of its tree")
    return "/".join(parts)


def _target(target: bytes, kind: Kind, name: str) -> str:
    if kind not in (Kind.SYMLINK, Kind.HARDLINK):
        return ""
    if not target or b"\x00" in target:
        raise ValueError(f"the link {name!r} has no usable target")
    return _clean(target) if kind is Kind.HARDLINK else os.fsdecode(target)


def _identity(number: int, name: str) -> int:
    if not 0 <= number <= _MAX_ID:
        raise ValueError(f"the owner of {name!r} is {number}, which is no user or group")
    return number


def _device(header: Header, name: str) -> tuple[int, int]:
    if not all(0 <= number < 2**32 for number in header.device):
        raise ValueError(f"{name!r} has impossible device numbers {header.device}")
    return header.device
