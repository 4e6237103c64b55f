"""A blob that is on its way: a download that was interrupted goes on where it stopped.

What has arrived lies in `partial/`, under a lock, so that of two processes that want the same
blob one fetches it and the other finds it done. It is summed up anew when it is taken up
again, so nothing that is on disk is trusted.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.layout.blob import BlobStore

_CHUNK = 1 << 20


class Partial:
    """The part of a blob that is there. `done` means that nothing has to be fetched."""

    def __init__(self, blobs: BlobStore, digest: Digest, path: Path, descriptor: int) -> None:
        self._blobs = blobs
        self._path = path
        self._file = descriptor
        self.digest = digest
        self.done = blobs.has(digest)
        self.size = 0
        self._hasher = digest.hasher()
        if not self.done:
            self._take_up()

    def append(self, data: bytes | memoryview) -> None:
        """Add the bytes that follow the `size` that are there."""
        self._hasher.update(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        self.size += len(data)

    def reset(self) -> None:
        """Begin again: the sender cannot go on in the middle."""
        os.ftruncate(self._file, 0)
        os.lseek(self._file, 0, os.SEEK_SET)
        self._hasher = self.digest.hasher()
        self.size = 0

    def commit(self) -> Digest:
        """Make the blob visible.

        Raises:
            DigestMismatchError: it is not what the digest says; what was there is dropped.
        """
        if not self.digest.matches(self._hasher):
            found = f"{self.digest.algorithm}:{self._hasher.hexdigest()}"
            self.reset()
            raise DigestMismatchError("a download", str(self.digest), found)
        with os.fdopen(os.dup(self._file), "r+b") as stream:
            self._blobs.publish(stream, self._path, self.digest)
        self.done = True
        return self.digest

    def _take_up(self) -> None:
        while chunk := os.read(self._file, _CHUNK):
            self._hasher.update(chunk)
            self.size += len(chunk)


@contextmanager
def open_partial(blobs: BlobStore, folder: Path, digest: Digest) -> Iterator[Partial]:
    """The place for `digest`, waiting for whoever has it. What is not committed stays."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{digest.algorithm}-{digest.hex}"
    descriptor = _locked(path)
    try:
        slot = Partial(blobs, digest, path, descriptor)
        if slot.done:
            path.unlink(missing_ok=True)
        yield slot
    finally:
        os.close(descriptor)


def _locked(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # whoever had the lock may have made this very file the blob, or removed it
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)
