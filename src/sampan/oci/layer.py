"""One layer of an image: what its archive contains and where, found in a single pass.

The index made here is all that image building needs to know of a layer; it is kept on disk,
so that no tar is parsed twice. Markers of removed files (`.wh.…`) are entries like any other
here: what they do to the layers below is decided in `sampan.oci.tree`.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from typing import IO

import msgspec

from sampan.base.checksum import crc32
from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.oci import compression, tar
from sampan.oci.digest import Digest
from sampan.oci.limit import DEFAULT_LIMITS, Limits
from sampan.oci.readahead import ReadAhead

_SUM = 4  # bytes of checksum in front of a stored index
_FORMAT = 1  # raise it when what is stored changes: indexes of another format are made again


class LayerEntry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry of a layer.

    For a file, `offset` is where its content begins in the uncompressed archive and `digest`
    is the content's sha256 (32 bytes); for anything else they are 0 and empty.
    """

    entry: Entry
    offset: int = 0
    digest: bytes = b""


class LayerIndex(msgspec.Struct, frozen=True, array_like=True):
    """What a layer contains. `diff_id` and `size` (bytes) are of the uncompressed archive."""

    diff_id: Digest
    size: int
    entries: tuple[LayerEntry, ...]


class _Stored(msgspec.Struct, frozen=True, array_like=True):
    """How an index lies on disk. `escaped`: the entries whose texts are not UTF-8."""

    format: int
    diff_id: str
    size: int
    escaped: tuple[int, ...]
    entries: list[LayerEntry]


def scan(stream: IO[bytes], *, limits: Limits = DEFAULT_LIMITS, what: str = "layer") -> LayerIndex:
    """Read the layer in `stream`, compressed or not, once; `what` names it in errors.

    Raises:
        DamagedStreamError: the compressed stream is damaged or cut off.
        InvalidTarError: what is inside is no usable tar.
        LimitError: it contains more than `limits` allow.
    """
    summer = _Summer(limits, what)
    with ReadAhead(summer.watch(compression.decompress(stream, what=what))) as pieces:
        plain = io.BufferedReader(compression.PieceReader(pieces), compression.PIECE)
        entries = tuple(
            LayerEntry(entry, content.offset, _digest(content))
            if entry.kind is Kind.FILE
            else LayerEntry(entry)
            for entry, content in tar.read(plain, limits=limits, what=what)
        )
        for _ in pieces:  # padding behind the archive counts in its digest
            pass
    return LayerIndex(Digest("sha256:" + summer.hasher.hexdigest()), summer.size, entries)


def dump(index: LayerIndex) -> bytes:
    """The index as bytes for `load`."""
    escaped = []
    entries = list(index.entries)
    for number, found in enumerate(entries):
        entry = found.entry
        if not all(map(_is_utf8, _texts(entry))):
            escaped.append(number)
            entries[number] = msgspec.structs.replace(found, entry=_map_texts(entry, _escape))
    data = msgspec.msgpack.encode(
        _Stored(_FORMAT, str(index.diff_id), index.size, tuple(escaped), entries)
    )
    return crc32(data).to_bytes(_SUM) + data


def load(data: bytes) -> LayerIndex | None:
    """The index that `dump` wrote, or None if `data` is of another format or damaged."""
    content = memoryview(data)[_SUM:]
    if crc32(content).to_bytes(_SUM) != data[:_SUM]:
        return None
    try:
        stored = msgspec.msgpack.decode(content, type=_Stored)
        if stored.format != _FORMAT:
            return None
        for number in stored.escaped:
            found = stored.entries[number]
            stored.entries[number] = msgspec.structs.replace(
                found, entry=_map_texts(found.entry, _unescape)
            )
        return LayerIndex(Digest.parse(stored.diff_id), stored.size, tuple(stored.entries))
    except (msgspec.DecodeError, SampanError, IndexError, UnicodeError):
        return None


class _Summer:
    """Sums up the pieces that pass, in whatever thread they pass."""

    def __init__(self, limits: Limits, what: str) -> None:
        self._limits = limits
        self._what = what
        self.hasher = hashlib.sha256()
        self.size = 0

    def watch(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.size += len(piece)
            self._limits.check_total(self.size, self._what)
            self.hasher.update(piece)
            yield piece


def _digest(content: tar.Content) -> bytes:
    hasher = hashlib.sha256()
    for chunk in content.chunks():
        hasher.update(chunk)
    return hasher.digest()


def _texts(entry: Entry) -> tuple[str, ...]:
    names = tuple(name for name, _ in entry.xattrs)
    return (entry.name, entry.target, entry.uname, entry.gname, *names)


def _is_utf8(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _map_texts(entry: Entry, change: Callable[[str], str]) -> Entry:
    return msgspec.structs.replace(
        entry,
        name=change(entry.name),
        target=change(entry.target),
        uname=change(entry.uname),
        gname=change(entry.gname),
        xattrs=tuple((change(name), value) for name, value in entry.xattrs),
    )


def _escape(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _unescape(text: str) -> str:
    return text.encode("latin-1").decode("utf-8", "surrogateescape")
