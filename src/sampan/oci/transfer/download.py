"""Pulling: an image from a registry, or a mirror of it, into the cache.

The order keeps the cache whole at every moment: blobs first, then the manifests that name
them, then the index, then the name. Whatever is there already, and sound, is not asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from sampan.base import progress as reporting
from sampan.base.crew import in_parallel
from sampan.base.progress import SILENT, Progress
from sampan.oci import model
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.layout import Cache
from sampan.oci.model import DOCUMENT_LIMIT, Descriptor, Platform
from sampan.oci.reference import Reference
from sampan.oci.registry.credential import Keychain
from sampan.oci.registry.fault import NotFoundError, RegistryError
from sampan.oci.registry.gauge import Gauge
from sampan.oci.registry.patience import Sleep
from sampan.oci.registry.repository import Repository
from sampan.oci.registry.session import Session
from sampan.oci.registry.transport import Transport
from sampan.oci.remote import DEFAULT_REMOTE, Remote
from sampan.oci.transfer.fetch import fetch
from sampan.oci.transfer.selection import PlatformMissingError, select

__all__ = ["PlatformMissingError", "pull"]

_T = TypeVar("_T")


def pull(
    cache: Cache,
    reference: Reference,
    *,
    platforms: Sequence[Platform] = (),
    remote: Remote = DEFAULT_REMOTE,
    progress: Progress = SILENT,
    sleep: Sleep | None = None,
) -> Descriptor:
    """Have the image `reference` in the cache as the registry has it now, for `platforms`.

    Without platforms it is had for all. `sleep` replaces the waiting between attempts.

    Returns:
        The descriptor of its index, or of its manifest if there is no index.

    Raises:
        RegistryError: the registry cannot be reached, has no such image, or wants a login.
        PlatformMissingError: the image is not for one of the platforms.
        DigestMismatchError: what came is not what was promised; none of it is kept.
        SampanError: a document is damaged, a file that `remote` names cannot be used.
    """
    reference = reference.with_default_tag()
    with Transport(remote) as transport, cache.adding():
        keychain = Keychain(remote)
        sources = [
            Repository(Session(endpoint, transport, keychain, sleep=sleep), reference.repository)
            for endpoint in remote.sources(reference.registry)
        ]
        job = _Pull(cache, reference, _Sources(sources, progress), progress)
        root = job.root()
        selection = select(reference, root, platforms, job.document)
        missing = [b for b in selection.blobs.values() if not cache.blobs.is_sound(b.digest)]
        in_parallel(job.blob, missing, count=remote.parallel, stop=transport.stop)
        for descriptor, data in selection.documents:
            if not cache.blobs.is_sound(descriptor.digest):
                cache.put_blob(data, descriptor)
        cache.tag(reference, root)
        return root


class _Sources:
    """The places that have the image, in the order to try."""

    def __init__(self, repositories: list[Repository], progress: Progress) -> None:
        self._repositories = repositories
        self._progress = progress

    def attempt(self, work: Callable[[Repository], _T]) -> _T:
        """The result of `work` at the first place where it succeeds; the last one may raise."""
        *mirrors, origin = self._repositories
        for mirror in mirrors:
            try:
                return work(mirror)
            except (RegistryError, DigestMismatchError) as error:
                self._progress.note(f"mirror {mirror.registry}: {error}; going on without it")
                if not isinstance(error, NotFoundError):
                    self._repositories = [r for r in self._repositories if r is not mirror]
        return work(origin)


class _Pull:
    def __init__(
        self, cache: Cache, reference: Reference, sources: _Sources, progress: Progress
    ) -> None:
        self._cache = cache
        self._reference = reference
        self._sources = sources
        self._progress = progress
        self._documents: dict[Digest, bytes] = {}

    def root(self) -> Descriptor:
        """The manifest or index that the reference names now."""
        digest, data = self._sources.attempt(self._named)
        self._documents[digest] = data
        document = model.decode_manifest(data, f"manifest of {self._reference.familiar}")
        return Descriptor(document.media_type, digest, len(data))

    def _named(self, repository: Repository) -> tuple[Digest, bytes]:
        tag = self._reference.tag or ""
        digest = self._reference.digest or repository.find_manifest(tag)
        if digest is not None and self._cache.blobs.is_sound(digest):
            return digest, self._cache.read_blob(digest)
        data = repository.manifest(digest or tag, digest)
        return digest or Digest.of(data), data

    def document(self, descriptor: Descriptor) -> bytes:
        """A manifest, an index, or a config, from the cache or else from the registry."""
        if descriptor.digest in self._documents:
            return self._documents[descriptor.digest]
        is_manifest = descriptor.media_type in model.INDEX_TYPES | model.MANIFEST_TYPES
        if not self._cache.blobs.is_sound(descriptor.digest):
            if is_manifest:
                # not yet in the cache: a manifest there promises that its blobs are there too
                data = self._sources.attempt(
                    lambda source: source.manifest(descriptor.digest, descriptor)
                )
                self._documents[descriptor.digest] = data
                return data
            if descriptor.size > DOCUMENT_LIMIT:
                raise model.InvalidDocumentError(
                    f"config {descriptor.digest}", f"it has more than {DOCUMENT_LIMIT >> 20} MiB"
                )
            self.blob(descriptor)
        return self._cache.read_blob(descriptor.digest)

    def blob(self, descriptor: Descriptor) -> None:
        """Have the blob in the cache; if another process is fetching it, wait for that."""
        label = f"{self._reference.familiar} {descriptor.digest.short}"
        with self._cache.partial(descriptor.digest) as slot:
            if slot.done:
                return
            with reporting.task(self._progress, label, descriptor.size) as task:
                gauge = Gauge(task)
                self._sources.attempt(lambda source: fetch(source, descriptor, slot, gauge))
