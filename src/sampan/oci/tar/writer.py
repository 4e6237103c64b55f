"""Write a tar archive to a stream: POSIX ustar, with PAX records for what does not fit.

The same entries give the same bytes: records are sorted and headers carry no time of their
own. Knows nothing of layers or images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import IO, Self

from sampan.base.entry import Entry, Kind
from sampan.oci.tar import header as raw
from sampan.oci.tar import pax
from sampan.oci.tar.header import ZEROS, Header

_TYPES = {
    Kind.FILE: b"0", Kind.HARDLINK: b"1", Kind.SYMLINK: b"2", Kind.CHARACTER: b"3",
    Kind.BLOCK: b"4", Kind.DIRECTORY: b"5", Kind.FIFO: b"6",
}  # fmt: skip
_NAME, _PREFIX, _TARGET, _OWNER = 100, 155, 100, 32


class Writer:
    """Appends entries to `stream`; call `close` (or leave the `with` block) to end the archive.

    Folders get a trailing `/`, as most tools write it, unless `folder_slash` is off. The stream
    is not closed.
    """

    def __init__(self, stream: IO[bytes], *, folder_slash: bool = True) -> None:
        self._stream = stream
        self._folder_slash = folder_slash
        self.position = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()

    def add(
        self,
        entry: Entry,
        chunks: Iterable[bytes | memoryview] = (),
        *,
        pax_extra: Mapping[str, bytes] | None = None,
    ) -> None:
        """Append `entry`; `chunks` together are its content, of exactly `entry.size` bytes.

        `pax_extra` are PAX records written besides those the entry needs.

        Raises:
            ValueError: the content has another size than the entry says.
        """
        self._write(self.header(entry, pax_extra))
        if entry.kind is not Kind.FILE:
            return
        written = 0
        for chunk in chunks:
            self._stream.write(chunk)
            written += len(chunk)
        if written != entry.size:
            raise ValueError(f"{entry.name!r} has {written} bytes of content, not {entry.size}")
        self.position += written
        if pad := raw.padding(written):
            self._write(ZEROS[:pad])

    def header(self, entry: Entry, pax_extra: Mapping[str, bytes] | None = None) -> bytes:
        """The block or blocks that stand before the content of `entry`."""
        records: dict[str, bytes] = dict(pax_extra) if pax_extra else {}
        name = _name(entry, slash=self._folder_slash)
        prefix, short = _split(name, records)
        target = _short("linkpath", _encode(entry.target), _TARGET, records)
        size = entry.size if entry.kind is Kind.FILE else 0
        mtime, fraction = divmod(entry.mtime_ns, 10**9)
        if fraction or not raw.fits_octal(mtime, 12):
            records["mtime"] = pax.format_time(entry.mtime_ns)
            mtime = mtime if raw.fits_octal(mtime, 12) else 0
        for xattr, value in entry.xattrs:
            records[pax.XATTR_PREFIX + xattr] = value
        block = raw.encode(
            Header(
                name=short,
                mode=entry.mode,
                uid=_small("uid", entry.uid, 8, records),
                gid=_small("gid", entry.gid, 8, records),
                size=_small("size", size, 12, records),
                mtime=mtime,
                type=_TYPES[entry.kind],
                target=target,
                uname=_short("uname", _encode(entry.uname), _OWNER, records),
                gname=_short("gname", _encode(entry.gname), _OWNER, records),
                device=entry.device,
                prefix=prefix,
            )
        )
        return _extended(name, records) + block if records else block

    def close(self) -> None:
        """Write the end of the archive."""
        self._write(ZEROS + ZEROS)

    def _write(self, data: bytes) -> None:
        self._stream.write(data)
        self.position += len(data)


def _name(entry: Entry, *, slash: bool) -> bytes:
    name = _encode(entry.name) or b"."
    return name + b"/" if slash and entry.kind is Kind.DIRECTORY else name


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _split(name: bytes, records: dict[str, bytes]) -> tuple[bytes, bytes]:
    """The prefix and name fields; a name that fits in neither becomes a record too."""
    if name.isascii():
        if len(name) <= _NAME:
            return b"", name
        slash = name.find(b"/", len(name) - _NAME - 1, -1)
        if 0 < slash <= _PREFIX:
            return name[:slash], name[slash + 1 :]
    records["path"] = name
    return b"", name[:_NAME]


def _short(key: str, text: bytes, length: int, records: dict[str, bytes]) -> bytes:
    if len(text) > length or not text.isascii():
        records[key] = text
        return text[:length]
    return text


def _small(key: str, number: int, length: int, records: dict[str, bytes]) -> int:
    if raw.fits_octal(number, length):
        return number
    records[key] = b"%d" % number
    return 0


def _extended(name: bytes, records: Mapping[str, bytes]) -> bytes:
    body = pax.encode(records)
    folder, _, base = name.rstrip(b"/").rpartition(b"/")
    shown = b"/".join(part for part in (folder, b"PaxHeaders.0", base) if part)
    block = raw.encode(Header(name=shown[:_NAME], size=len(body), type=b"x"))
    return block + body + bytes(raw.padding(len(body)))
