"""Reads Debian binary packages (deb(5)): the control fields and the files, as streams.

A `.deb` is an `ar` archive of `debian-binary`, `control.tar.*` and `data.tar.*`. Only reads:
maintainer scripts are never looked at, nothing is written to disk here, and what becomes of
the files is the business of `sampan.package.stage`. Bytes have been checked against the
archive's signature before they come here, yet all sizes are bounded.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sampan.base.entry import Entry
from sampan.errors import SampanError
from sampan.oci import tar
from sampan.oci.compression import open_decompressed
from sampan.oci.limit import Limits

_MAGIC = b"!<arch>\n"
_HEADER_SIZE = 60
_CONTROL_LIMIT = 16 << 20
_MAX_MEMBERS = 64
_CHUNK = 1 << 18
_LIMITS = Limits(total_bytes=8 << 30, entries=500_000)


class DebError(SampanError):
    """A file is not a whole Debian package."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an `ar` archive: where its bytes are, and its time in seconds since 1970."""

    name: str
    offset: int
    size: int
    mtime_s: int


class Deb:
    """An open `.deb`. `date_s` is when its sources were last changed, in seconds since 1970."""

    def __init__(self, path: Path) -> None:
        """Read the members' table of `path`.

        Raises:
            DebError: that is no Debian package.
        """
        self.path = path
        with path.open("rb") as stream:
            self._members = {member.name: member for member in _members(stream, path)}
        version = self._members.get("debian-binary")
        if version is None:
            raise DebError(f"{path}: not a Debian package: it has no debian-binary")
        self.date_s = version.mtime_s

    def control(self) -> Mapping[str, str]:
        """The fields of the control file, by their names as written (`Package`, `Version`, …)."""
        with self._open("control") as stream:
            for entry, content in tar.read(stream, limits=_LIMITS, what=str(self.path)):
                if entry.name == "control" and entry.size <= _CONTROL_LIMIT:
                    return parse_control(content.read().decode(errors="replace"))
        raise DebError(f"{self.path}: has no control file")

    def files(self) -> Iterator[tuple[Entry, Iterator[bytes]]]:
        """Every file of the package with its content, which must be read before the next one.

        Raises:
            DebError, DamagedStreamError, InvalidTarError: the package is damaged.
        """
        with self._open("data") as stream:
            for entry, content in tar.read(stream, limits=_LIMITS, what=str(self.path)):
                yield entry, content.chunks()

    @contextmanager
    def _open(self, stem: str) -> Iterator[IO[bytes]]:
        found = [name for name in self._members if name.rpartition(".tar")[0] == stem]
        if not found:
            raise DebError(f"{self.path}: has no {stem}.tar")
        member = self._members[found[0]]
        with self.path.open("rb") as file:
            raw = io.BufferedReader(_Slice(file, member.offset, member.size), _CHUNK)
            yield open_decompressed(raw, what=f"{self.path}: {member.name}")


def parse_control(text: str) -> Mapping[str, str]:
    """The fields of one stanza (deb822(5)); continuation lines are joined with newlines."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1] in (" ", "\t"):
            if name:
                fields[name] += "\n" + line.strip()
            continue
        name, colon, value = line.partition(":")
        if not colon:
            name = ""
            continue
        fields[name] = value.strip()
    return fields


def _members(stream: IO[bytes], path: Path) -> Iterator[Member]:
    if stream.read(len(_MAGIC)) != _MAGIC:
        raise DebError(f"{path}: not a Debian package: no ar archive")
    end = path.stat().st_size
    offset = len(_MAGIC)
    for _ in range(_MAX_MEMBERS):
        stream.seek(offset)
        header = stream.read(_HEADER_SIZE)
        if not header:
            return
        try:
            if len(header) != _HEADER_SIZE or header[58:] != b"`\n":
                raise ValueError("bad header")
            name = header[:16].decode("ascii").rstrip().rstrip("/")
            mtime_s, size = int(header[16:28]), int(header[48:58])
        except ValueError as error:
            raise DebError(f"{path}: broken ar archive at byte {offset}") from error
        offset += _HEADER_SIZE
        if size < 0 or offset + size > end:
            raise DebError(f"{path}: cut short: {name} ends after the file does")
        yield Member(name, offset, size, max(mtime_s, 0))
        offset += size + size % 2
    raise DebError(f"{path}: more than {_MAX_MEMBERS} members")


class _Slice(io.RawIOBase):
    """A part of a file as a stream."""

    def __init__(self, file: IO[bytes], offset: int, size: int) -> None:
        self._file = file
        self._left = size
        file.seek(offset)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        data = self._file.read(min(len(buffer), self._left))
        buffer[: len(data)] = data
        self._left -= len(data)
        return len(data)
