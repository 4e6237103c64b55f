"""The cache as a whole: names, blobs, who uses them, and what may be removed.

An OCI image layout, so other tools can read it. Three rules make it safe for several
processes that may be killed at any moment:

1. Files appear whole, by rename: blobs, `index.json`, layer indexes.
2. `index.json` is only replaced under the lock `index.lock`.
3. Blobs are only removed under the exclusive lock `use.lock`, which everybody who adds to the
   cache (`adding`) holds shared. It is never waited for: what cannot be removed now is removed
   next time.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from sampan.base import fs
from sampan.base.progress import SILENT, Progress
from sampan.base.progress import task as progress_task
from sampan.errors import SampanError, UsageError
from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout import image as images
from sampan.oci.layout.blob import BlobMissingError, BlobStore, Readable
from sampan.oci.layout.image import Image, ImageNotFoundError
from sampan.oci.layout.partial import Partial, open_partial
from sampan.oci.layout.reach import reach
from sampan.oci.model import DOCUMENT_LIMIT, Descriptor, Index, Platform
from sampan.oci.reference import Reference

_LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'
_INDEX_LIMIT = 64 << 20


class CacheBusyError(SampanError):
    """Somebody else is adding to the cache."""


class ReadOnlyCacheError(SampanError):
    """The folder of the cache cannot be written."""


class CacheEntry(msgspec.Struct, frozen=True):
    """A named image. `size` is that of all its blobs in the cache, in bytes."""

    reference: Reference
    descriptor: Descriptor
    size: int


class Cache:
    """The image layout in folder `root`, made if it is missing."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = BlobStore(root / "blobs")
        if not (root / "oci-layout").exists():
            with _explained(root):
                (root / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
                with fs.locked(root / "index.lock"):
                    if not (root / "index.json").exists():
                        self._write_index([])
                fs.write_atomically(root / "oci-layout", _LAYOUT)

    def adding(self) -> AbstractContextManager[None]:
        """While the block runs, no blob is removed by anybody.

        Hold it from the first question whether a blob is there until the image has its name.

        Raises:
            ReadOnlyCacheError: this user may not write here.
        """
        return self._locked("use.lock", shared=True)

    def has_blob(self, digest: Digest) -> bool:
        """Whether the blob is there, whole and checked."""
        return self.blobs.has(digest)

    def open_blob(self, digest: Digest) -> BinaryIO:
        """The blob for reading; raises BlobMissingError."""
        return self.blobs.open(digest)

    def read_blob(self, digest: Digest, limit: int = DOCUMENT_LIMIT) -> bytes:
        """The whole blob of at most `limit` bytes, checked.

        Raises:
            BlobMissingError, DamagedBlobError: it is not there, or not any more.
            SampanError: it is larger.
        """
        return self.blobs.read(digest, limit)

    def put_blob(
        self,
        source: Readable | bytes,
        expected: Descriptor | Digest | None = None,
        progress: Progress = SILENT,
    ) -> Digest:
        """Keep what `source` holds under its digest.

        Raises:
            DigestMismatchError: it is not what `expected` says; nothing is kept then.
        """
        if isinstance(source, bytes):
            with self.adding():
                return self.blobs.put(source, expected)
        size = expected.size if isinstance(expected, Descriptor) else None
        named = expected.digest if isinstance(expected, Descriptor) else expected
        label = named.short if named else "store"
        with self.adding(), progress_task(progress, label, size) as running:
            return self.blobs.put(source, expected, running)

    @contextmanager
    def partial(self, digest: Digest) -> Iterator[Partial]:
        """A download that can be taken up again; see `Partial`. Waits for another's of the same."""
        with self.adding(), open_partial(self.blobs, self.root / "partial", digest) as slot:
            yield slot

    def layer_index_path(self, digest: Digest) -> Path:
        """Where the index of a layer is kept (`sampan.oci.tree.layer_index`)."""
        return self.root / "layers" / f"{digest.algorithm}-{digest.hex}.msgpack"

    def tag(self, reference: Reference, descriptor: Descriptor) -> None:
        """Give the image at `descriptor` a name; another image of that name loses it.

        Raises:
            BlobMissingError: a blob of the image is missing. Of an index only those manifests
                count that are there: the others were not pulled.
        """
        with self.adding():
            for digest in reach(self.blobs, descriptor):
                if not self.blobs.has(digest):
                    raise BlobMissingError(digest)
            name = reference.canonical
            named = msgspec.structs.replace(descriptor, annotations={model.REF_NAME: name})
            with self._locked("index.lock"):
                kept = [
                    found for found in self._named() if found.annotations[model.REF_NAME] != name
                ]
                self._write_index([*kept, named])

    def is_whole(self, descriptor: Descriptor) -> bool:
        """Whether all blobs of an image are there; of an index, those of what was pulled of it.

        Documents are checked; layers are when they are used.
        """
        try:
            return all(map(self.blobs.has, reach(self.blobs, descriptor)))
        except SampanError:  # a damaged document
            return False

    def find(self, reference: Reference) -> Descriptor | None:
        """The image of that name, or None.

        A name without tag also finds `:latest`; one with a digest finds any image of that
        repository with that digest.
        """
        named = {found.annotations[model.REF_NAME]: found for found in self._named()}
        for wanted in (reference, reference.with_default_tag()):
            if wanted.canonical in named:
                return named[wanted.canonical]
        for name, found in named.items():
            if reference.digest == found.digest and Reference.parse(name).name == reference.name:
                return found
        return None

    def entries(self) -> list[CacheEntry]:
        """All named images, sorted by name."""
        listed = [
            CacheEntry(
                Reference.parse(found.annotations[model.REF_NAME]),
                found,
                sum(self.blobs.size(digest) for digest in reach(self.blobs, found)),
            )
            for found in self._named()
        ]
        return sorted(listed, key=lambda entry: entry.reference.canonical)

    def image(self, reference: Reference, platform: Platform) -> Image:
        """The image of that name for `platform`.

        Raises:
            ImageNotFoundError: the name is unknown, or the image is not there for the platform.
            SampanError: one of its documents is missing or damaged.
        """
        return images.resolve(self.blobs, reference, self._must_find(reference), platform)

    def images(self, reference: Reference, descriptor: Descriptor | None = None) -> Iterator[Image]:
        """The image of that name for every platform that is there.

        `descriptor` may point to an image that does not have the name yet.

        Raises:
            ImageNotFoundError: the name is unknown.
            SampanError: a document is missing or damaged.
        """
        return images.every(self.blobs, reference, descriptor or self._must_find(reference))

    def remove(self, reference: Reference) -> int:
        """Take the image's name away, and the blobs that no other image uses.

        A name without tag may be that of the only image whose name begins so. Returns how many
        bytes that freed; 0 if somebody is adding to the cache now, then the blobs stay until
        the next `clean`.

        Raises:
            ImageNotFoundError: the name is unknown.
            UsageError: it is that of several images.
        """
        removed = self._meant(reference)
        name = removed.annotations[model.REF_NAME]
        with self._locked("index.lock"):
            self._write_index([d for d in self._named() if d.annotations[model.REF_NAME] != name])
        try:
            candidates = reach(self.blobs, removed)
        except SampanError:  # damaged: what cannot be told apart now is left to `clean`
            candidates = {removed.digest}
        with self._alone() as alone:
            return self._sweep(candidates) if alone else 0

    def clean(self, *, images: bool = True, folders: Sequence[str] = ()) -> int:
        """Remove all images, or only what none of them uses. Returns how many bytes that freed.

        `folders` are names of folders of the cache that are removed too: what others keep
        there and can make again.

        Raises:
            CacheBusyError: somebody is adding to the cache.
        """
        with self._alone() as alone:
            if not alone:
                raise CacheBusyError(
                    f"the cache {self.root} is being added to by another sampan",
                    hint="wait until it is done",
                )
            if images:
                with self._locked("index.lock"):
                    self._write_index([])
            freed = self._sweep(set(self.blobs)) + self.blobs.remove_leftovers()
            leftovers = [*self.root.glob("partial/*"), *self.root.glob(f"{fs.TEMPORARY_PREFIX}*")]
            for path in (*leftovers, *self.root.glob(f"layers/{fs.TEMPORARY_PREFIX}*")):
                freed += path.stat().st_size
                path.unlink()
            return freed + sum(_remove_folder(self.root / name) for name in folders)

    def _meant(self, reference: Reference) -> Descriptor:
        """The image to remove: that of the name, or the only one of it with any tag."""
        found = self.find(reference)
        if found is not None or reference.tag is not None or reference.digest is not None:
            return found or self._must_find(reference)
        named = [(Reference.parse(d.annotations[model.REF_NAME]), d) for d in self._named()]
        tagged = [(one, d) for one, d in named if one.name == reference.name]
        if len(tagged) > 1:
            raise UsageError(
                f"{reference.familiar} is the name of {len(tagged)} images",
                hint="say which: " + ", ".join(sorted(one.familiar for one, _ in tagged)),
            )
        return tagged[0][1] if tagged else self._must_find(reference)

    def _must_find(self, reference: Reference) -> Descriptor:
        descriptor = self.find(reference)
        if descriptor is None:
            raise ImageNotFoundError(
                f"{reference.familiar} is not in the cache",
                hint=f"sampan cache pull {reference.familiar}",
            )
        return descriptor

    def _sweep(self, candidates: set[Digest]) -> int:
        """Remove those blobs that no image reaches; the caller holds `use.lock` alone."""
        used: set[Digest] = set()
        for descriptor in self._named():
            used |= reach(self.blobs, descriptor)
        freed = 0
        for digest in candidates - used:
            freed += self.blobs.remove(digest)
            self.layer_index_path(digest).unlink(missing_ok=True)
        return freed

    @contextmanager
    def _alone(self) -> Iterator[bool]:
        """Whether nobody is adding; nobody begins to while the block runs."""
        with _explained(self.root):
            lock = os.open(self.root / "use.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
        finally:
            os.close(lock)

    @contextmanager
    def _locked(self, name: str, *, shared: bool = False) -> Iterator[None]:
        with ExitStack() as stack:
            with _explained(self.root):
                stack.enter_context(fs.locked(self.root / name, shared=shared))
            yield

    def _named(self) -> list[Descriptor]:
        try:
            data = (self.root / "index.json").read_bytes()
        except FileNotFoundError:
            return []
        try:
            index = model.decode(data, Index, f"{self.root / 'index.json'}", limit=_INDEX_LIMIT)
        except SampanError as error:
            error.hint = "to begin anew, without the images: sampan cache clean"
            raise
        return [found for found in index.manifests if model.REF_NAME in found.annotations]

    def _write_index(self, descriptors: list[Descriptor]) -> None:
        index = Index(manifests=tuple(descriptors))
        fs.write_atomically(self.root / "index.json", model.encode(index))


@contextmanager
def _explained(root: Path) -> Iterator[None]:
    """Say in plain words that the cache in `root` cannot be written.

    Raises:
        ReadOnlyCacheError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        why = (error.strerror or str(error)).lower()
        raise ReadOnlyCacheError(
            f"the cache {root} cannot be written: {why}",
            hint="use another: sampan --cache FOLDER, or SAMPAN_CACHE",
        ) from error


def _remove_folder(folder: Path) -> int:
    """Remove `folder`, if it is there, with all that is in it; returns the bytes freed."""
    if not folder.exists():
        return 0
    freed = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder)
    return freed
