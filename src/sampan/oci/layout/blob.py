"""Blobs on disk, each under its digest. A blob that can be seen is whole and checked.

It is written to a temporary name, summed up on the way, and renamed; a process that is killed
leaves a temporary file, which the next clean-up removes. Disks lose bits: before a blob is used
it is summed up again, once in each process, and a damaged one is removed, so that whoever wants
the image brings it anew. Knows no images.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO, Protocol

from sampan.base import fs
from sampan.base.progress import Task
from sampan.errors import SampanError
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.model import DOCUMENT_LIMIT, Descriptor

_CHUNK = 1 << 20


class Readable(Protocol):
    """What a blob can be read from."""

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes, none at the end."""


class BlobMissingError(SampanError):
    """A blob is not in the cache."""

    def __init__(self, digest: Digest) -> None:
        self.digest = digest
        super().__init__(f"blob {digest} is not in the cache", hint=_anew("NAME"))


class DamagedBlobError(SampanError):
    """A blob in the cache was not what its digest says. It is not there any more."""

    def __init__(self, digest: Digest, image: str = "") -> None:
        self.digest = digest
        of = f" of {image}" if image else ""
        super().__init__(
            f"blob {digest}{of} was damaged on disk and has been removed",
            hint=_anew(image or "NAME"),
        )


class BlobStore:
    """The folder `blobs/<algorithm>/<hex>` of an image layout."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._checked: set[Digest] = set()

    def path(self, digest: Digest) -> Path:
        """Where the blob lies, or would lie."""
        return self._folder / digest.algorithm / digest.hex

    def has(self, digest: Digest) -> bool:
        """Whether the blob is there."""
        return self.path(digest).is_file()

    def open(self, digest: Digest) -> BinaryIO:
        """The blob, for reading.

        Raises:
            BlobMissingError: it is not there.
        """
        try:
            return self.path(digest).open("rb")
        except FileNotFoundError:
            raise BlobMissingError(digest) from None

    def read(self, digest: Digest, limit: int = DOCUMENT_LIMIT) -> bytes:
        """The whole blob, if it has at most `limit` bytes.

        Raises:
            BlobMissingError: it is not there.
            DamagedBlobError: it was damaged, and was removed.
            SampanError: it is larger.
        """
        with self.open(digest) as stream:
            data = stream.read(limit + 1)
            if len(data) > limit:
                raise SampanError(f"blob {digest} has more than the {limit} bytes it may have here")
            hasher = digest.hasher()
            hasher.update(data)
            if not digest.matches(hasher):
                self._drop(stream, digest)
                raise DamagedBlobError(digest)
        return data

    def check(self, digest: Digest, image: str = "") -> None:
        """Have the blob as its digest says; `image` names whose it is in errors.

        Raises:
            BlobMissingError: it is not there.
            DamagedBlobError: it was damaged, and was removed.
        """
        if digest in self._checked:
            return
        with self.open(digest) as stream:
            hasher = digest.hasher()
            for chunk in _chunks(stream):
                hasher.update(chunk)
            if not digest.matches(hasher):
                self._drop(stream, digest)
                raise DamagedBlobError(digest, image)
        self._checked.add(digest)

    def is_sound(self, digest: Digest) -> bool:
        """Whether the blob is there and as its digest says. If it is damaged it is removed."""
        try:
            self.check(digest)
        except (BlobMissingError, DamagedBlobError):
            return False
        return True

    def _drop(self, stream: BinaryIO, digest: Digest) -> None:
        """Remove the damaged blob that is open as `stream`."""
        path = self.path(digest)
        # another process may have replaced it; a cache that only others may write stays as it is
        with suppress(FileNotFoundError, PermissionError):
            if os.path.samestat(os.fstat(stream.fileno()), path.stat()):
                path.unlink()

    def size(self, digest: Digest) -> int:
        """The blob's size in bytes, 0 if it is not there."""
        try:
            return self.path(digest).stat().st_size
        except FileNotFoundError:
            return 0

    def put(
        self,
        source: Readable | bytes,
        expected: Descriptor | Digest | None = None,
        task: Task | None = None,
    ) -> Digest:
        """Keep what `source` holds and return its digest; `task` hears of every byte.

        Raises:
            DigestMismatchError: it is not what `expected` says; nothing is kept then.
        """
        digest = expected.digest if isinstance(expected, Descriptor) else expected
        size = expected.size if isinstance(expected, Descriptor) else None
        if digest is None and isinstance(source, bytes):
            digest = Digest.of(source)
        algorithm = digest.algorithm if digest else "sha256"
        with self.temporary(algorithm) as (temporary, stream):
            hasher = hashlib.new(algorithm)
            total = 0
            for chunk in _chunks(source):
                total += len(chunk)
                if size is not None and total > size:
                    raise _wrong_size(digest, size, f"more than {size}")
                hasher.update(chunk)
                stream.write(chunk)
                if task is not None:
                    task.advance(len(chunk))
            found = Digest(f"{algorithm}:{hasher.hexdigest()}")
            if size is not None and total != size:
                raise _wrong_size(digest, size, str(total))
            if digest is not None and found != digest:
                raise DigestMismatchError("a blob", str(digest), str(found))
            self.publish(stream, temporary, found)
        return found

    @contextmanager
    def temporary(self, algorithm: str = "sha256") -> Iterator[tuple[Path, IO[bytes]]]:
        """A file beside the blobs that is removed at the end unless `publish` renamed it."""
        folder = self._folder / algorithm
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{fs.TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            with path.open("xb") as stream:
                yield path, stream
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    def publish(self, stream: IO[bytes], path: Path, digest: Digest) -> None:
        """Give the checked file at `path`, open as `stream`, its name."""
        stream.flush()
        os.fsync(stream.fileno())
        target = self.path(digest)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)
        fs.sync_folder(target.parent)

    def remove(self, digest: Digest) -> int:
        """Remove the blob; returns how many bytes that freed."""
        size = self.size(digest)
        self.path(digest).unlink(missing_ok=True)
        return size

    def __iter__(self) -> Iterator[Digest]:
        """All blobs that are there."""
        for algorithm in ("sha256", "sha512"):
            folder = self._folder / algorithm
            for path in folder.iterdir() if folder.is_dir() else ():
                if not path.name.startswith(fs.TEMPORARY_PREFIX):
                    with suppress(SampanError):  # something that is no blob lies there
                        yield Digest.parse(f"{algorithm}:{path.name}")

    def remove_leftovers(self) -> int:
        """Remove what killed processes left; nobody may be writing. Returns the bytes freed."""
        freed = 0
        for path in self._folder.glob(f"*/{fs.TEMPORARY_PREFIX}*"):
            freed += path.stat().st_size
            path.unlink()
        return freed


def _anew(name: str) -> str:
    return f"have it anew: sampan cache pull {name}, or build it again if it was built here"


def _chunks(source: Readable | bytes) -> Iterator[bytes]:
    if isinstance(source, bytes):
        yield source
        return
    while chunk := source.read(_CHUNK):
        yield chunk


def _wrong_size(digest: Digest | None, size: int, found: str) -> DigestMismatchError:
    return DigestMismatchError(f"blob {digest}", f"{size} bytes", f"{found} bytes")
