"""Writes a composed tree into the cache as an OCI image: layer, config, manifest, SBOM, index.

The same tree, labels and time give the same digests. Compression is zstd: its output does not
depend on the processor (as that of fast gzip implementations does), it is a seventh smaller than
gzip at the same speed, and unpacks as fast.
(OCI image specification 1.1; attestations as BuildKit stores them.)
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, cast

import msgspec

from sampan.base.progress import SILENT, Progress
from sampan.oci import model
from sampan.oci.compression import CompressedWriter, Compression
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache
from sampan.oci.model import Descriptor, Platform
from sampan.oci.reference import Reference
from sampan.package import sbom, tarball
from sampan.package.composer import Composition
from sampan.package.recipe import Debian
from sampan.package.stage import Stage

_LEVEL = 3
_UNKNOWN = Platform("unknown", "unknown")


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer in the cache, and the digest of its uncompressed archive."""

    descriptor: Descriptor
    diff_id: Digest


def write_layer(cache: Cache, stage: Stage, *, mtime_s: int, progress: Progress = SILENT) -> Layer:
    """Put the archive of `stage` into the cache; every file gets the time `mtime_s`."""
    with tempfile.TemporaryFile() as file:
        with CompressedWriter(file, Compression.ZSTD, level=_LEVEL) as compressed:
            sink = _Hashing(compressed)
            tarball.write_stage(cast("IO[bytes]", sink), stage, mtime_s=mtime_s)
        size = file.tell()
        file.seek(0)
        digest = cache.put_blob(file, None, progress)
    diff_id = Digest.parse(f"sha256:{sink.hasher.hexdigest()}")
    return Layer(Descriptor(model.OCI_LAYER_ZSTD, digest, size), diff_id)


def write_image(
    cache: Cache,
    composition: Composition,
    debian: Debian,
    *,
    platform: Platform,
    labels: dict[str, str],
    name: str,
    progress: Progress = SILENT,
) -> tuple[Descriptor, Descriptor]:
    """Put an image for one platform into the cache: its manifest, and that of its SBOM."""
    epoch_s = composition.epoch_s
    layer = write_layer(cache, composition.stage, mtime_s=epoch_s, progress=progress)
    config = model.ImageConfig(
        created=sbom.timestamp(epoch_s),
        architecture=platform.architecture,
        os=platform.os,
        variant=platform.variant,
        config=model.ContainerConfig(
            user=debian.user,
            env=debian.env,
            entrypoint=debian.entrypoint,
            cmd=debian.cmd,
            working_dir=debian.workdir,
            labels=dict(sorted(labels.items())),
        ),
        rootfs=model.RootFs(diff_ids=(layer.diff_id,)),
        history=(
            model.History(
                created=sbom.timestamp(epoch_s), created_by=f"sampan: Debian {debian.suite}"
            ),
        ),
    )
    manifest = _put_manifest(cache, config, [layer.descriptor])
    statement = sbom.statement(
        name, manifest.digest, composition.installed, suite=debian.suite, epoch_s=epoch_s
    )
    described = msgspec.structs.replace(manifest, platform=platform)
    return described, _put_attestation(cache, manifest, statement)


def publish(cache: Cache, reference: Reference, manifests: Sequence[Descriptor]) -> Descriptor:
    """Put an index of `manifests` into the cache and give it the name `reference`."""
    data = model.encode(model.Index(manifests=tuple(manifests)))
    descriptor = _put(cache, model.OCI_INDEX, data)
    cache.tag(reference, descriptor)
    return descriptor


def _put_attestation(cache: Cache, image: Descriptor, statement: bytes) -> Descriptor:
    blob = _put(cache, model.IN_TOTO, statement)
    layer = msgspec.structs.replace(blob, annotations={model.PREDICATE_TYPE: sbom.PREDICATE_TYPE})
    config = model.ImageConfig(
        architecture="unknown", os="unknown", rootfs=model.RootFs(diff_ids=(blob.digest,))
    )
    manifest = _put_manifest(cache, config, [layer])
    notes = {
        model.REFERENCE_TYPE: "attestation-manifest",
        model.REFERENCE_DIGEST: str(image.digest),
    }
    return msgspec.structs.replace(manifest, platform=_UNKNOWN, annotations=notes)


def _put_manifest(
    cache: Cache, config: model.ImageConfig, layers: Sequence[Descriptor]
) -> Descriptor:
    described = _put(cache, model.OCI_CONFIG, model.encode(config))
    manifest = model.Manifest(config=described, layers=tuple(layers))
    return _put(cache, model.OCI_MANIFEST, model.encode(manifest))


def _put(cache: Cache, media_type: str, data: bytes) -> Descriptor:
    digest = cache.put_blob(data, Digest.of(data))
    return Descriptor(media_type, digest, len(data))


class _Hashing:
    """Passes on what is written to it, and hashes it."""

    def __init__(self, stream: CompressedWriter) -> None:
        self._stream = stream
        self.hasher = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.hasher.update(data)
        return self._stream.write(data)
