"""Pushing: an image of the cache to a registry.

Children before parents, as registries want it: blobs, manifests, index, and the tag last.
What the registry has already is not sent, and what it has in another repository it is asked
to take from there.
"""

from __future__ import annotations

from collections.abc import Iterator

from sampan.base import progress as reporting
from sampan.base.crew import in_parallel
from sampan.base.progress import SILENT, Progress
from sampan.errors import SampanError, UsageError
from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache, ImageNotFoundError
from sampan.oci.layout.reach import reach
from sampan.oci.model import Descriptor, Index, Manifest
from sampan.oci.reference import Reference
from sampan.oci.registry.credential import Keychain
from sampan.oci.registry.patience import Sleep
from sampan.oci.registry.repository import Repository
from sampan.oci.registry.session import Session
from sampan.oci.registry.transport import Transport
from sampan.oci.registry.upload import Upload
from sampan.oci.remote import DEFAULT_REMOTE, Remote, registry_name


def push(
    cache: Cache,
    reference: Reference,
    *,
    target: Reference | None = None,
    remote: Remote = DEFAULT_REMOTE,
    progress: Progress = SILENT,
    sleep: Sleep | None = None,
) -> Descriptor:
    """Send the image `reference` of the cache to its registry, under the name `target` if given.

    `sleep` replaces the waiting between attempts.

    Returns:
        The descriptor of what was sent: it has the digest it has in the cache.

    Raises:
        ImageNotFoundError: the cache does not have the image.
        IncompleteImageError: it is for several platforms, and some of them are nowhere.
        RegistryError: the registry cannot be reached, or does not take it.
    """
    root = cache.find(reference)
    if root is None:
        raise ImageNotFoundError(
            f"{reference.familiar} is not in the cache", hint="sampan cache ls shows what is"
        )
    target = (target or reference).with_default_tag()
    if target.digest is not None and target.digest != root.digest:
        raise UsageError(f"{reference.familiar} has the digest {root.digest}, not {target.digest}")
    with Transport(remote) as transport, cache.adding():
        session = Session(remote.origin(target.registry), transport, Keychain(remote), sleep=sleep)
        job = _Push(cache, target, Repository(session, target.repository, pushing=True), progress)
        if target.tag is not None and job.repository.find_manifest(target.tag) == root.digest:
            progress.note(f"{target.familiar} is there already")
            return root
        blobs = job.gather(root)
        in_parallel(job.blob, blobs, count=remote.parallel, stop=transport.stop)
        job.documents(target.tag)
        return root


class IncompleteImageError(SampanError):
    """Parts of an image are neither in the cache nor where it should be sent to."""


class _Push:
    def __init__(
        self, cache: Cache, target: Reference, repository: Repository, progress: Progress
    ) -> None:
        self.repository = repository
        self._cache = cache
        self._target = target
        self._progress = progress
        self._documents: dict[Digest, tuple[Descriptor, bytes]] = {}  # children before parents
        self._neighbours = _neighbours(cache, target)

    def gather(self, root: Descriptor) -> list[Descriptor]:
        """Find out what to send: the documents for `documents`, and the blobs, which it returns."""
        blobs: dict[Digest, Descriptor] = {}
        missing: list[Descriptor] = []
        self._visit(root, blobs, missing, top=True)
        absent = [each for each in missing if self.repository.find_manifest(each.digest) is None]
        if absent:
            names = ", ".join(str(each.platform or each.digest) for each in absent)
            raise IncompleteImageError(
                f"{self._target.familiar} cannot be pushed: of its index these are not in the "
                f"cache: {names}",
                hint="pull it for all platforms first: sampan cache pull --platform all",
            )
        return list(blobs.values())

    def blob(self, descriptor: Descriptor) -> None:
        """Have the blob in the repository."""
        if self.repository.has_blob(descriptor.digest):
            return
        label = f"{self._target.familiar} {descriptor.digest.short}"
        with reporting.task(self._progress, label, descriptor.size) as task:
            upload = Upload(
                self.repository,
                descriptor,
                lambda: self._cache.open_blob(descriptor.digest),
                task,
            )
            upload.send(self._neighbours.get(descriptor.digest))

    def documents(self, tag: str | None) -> None:
        """Send the manifests, and last the root under its tag."""
        *inner, root = self._documents.values()
        for descriptor, data in inner:
            self.repository.put_manifest(descriptor.digest, data, descriptor.media_type)
        descriptor, data = root
        self.repository.put_manifest(tag or descriptor.digest, data, descriptor.media_type)

    def _visit(
        self,
        descriptor: Descriptor,
        blobs: dict[Digest, Descriptor],
        missing: list[Descriptor],
        *,
        top: bool = False,
    ) -> None:
        if descriptor.digest in self._documents:
            return
        if not top and not self._cache.has_blob(descriptor.digest):
            missing.append(descriptor)
            return
        data = self._cache.read_blob(descriptor.digest)
        document = model.decode_manifest(data, f"manifest {descriptor.digest}")
        # a manifest that is there has its blobs there; the root is asked for by its tag
        if not top and self.repository.find_manifest(descriptor.digest) is not None:
            return
        if isinstance(document, Index):
            for inner in document.manifests:
                self._visit(inner, blobs, missing)
        else:
            for blob in _blobs(document):
                blobs.setdefault(blob.digest, blob)
        self._documents[descriptor.digest] = (descriptor, data)


def _blobs(manifest: Manifest) -> Iterator[Descriptor]:
    yield manifest.config
    yield from manifest.layers


def _neighbours(cache: Cache, target: Reference) -> dict[Digest, str]:
    """Blobs that other repositories of the same registry may have, by what the cache knows."""
    found: dict[Digest, str] = {}
    for entry in cache.entries():
        other = entry.reference
        same = registry_name(other.registry) == registry_name(target.registry)
        if same and other.repository != target.repository:
            for digest in reach(cache.blobs, entry.descriptor):
                found.setdefault(digest, other.repository)
    return found
