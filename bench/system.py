"""A made-up system of the shape of a real one, in a cache of its own: 330 MB, 4,000 files.

Kernel with modules, init with containerd, one service of 120 MB. The bytes come from a fixed
seed and compress about as machine code does (3:1). Layers are gzip, as registries hand them out.
"""

from __future__ import annotations

import hashlib
import io
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sampan.base.entry import Entry, Kind
from sampan.oci import model, tar
from sampan.oci.compression import CompressedWriter, Compression
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache
from sampan.oci.model import (
    ContainerConfig,
    Descriptor,
    ImageConfig,
    Manifest,
    Platform,
    RootFs,
)
from sampan.oci.reference import Reference
from sampan.oci.tree import image_tree

MB = 1_000_000
_TIME = 1_700_000_000 * 10**9


class Stuff:
    """Bytes that compress about three to one."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._words = [self._random.randbytes(self._random.randrange(6, 60)) for _ in range(400)]

    def take(self, size: int) -> bytes:
        choose = self._random.choices
        out = bytearray()
        while len(out) < size:
            out += b"".join(choose(self._words, k=200)) + self._random.randbytes(2000)
        return bytes(out[:size])


def files(prefix: str, count: int, total: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` files of `total` bytes together: a few large ones, many small ones."""
    stuff = Stuff(seed)
    weights = [1 / (number + 3) for number in range(count)]
    scale = total / sum(weights)
    for number, weight in enumerate(weights):
        yield f"{prefix}/d{number % 40:02d}/f{number:05d}", stuff.take(int(weight * scale))


def archive(members: Iterator[tuple[str, bytes]]) -> Iterator[bytes]:
    """A tar of the files, folders first, in pieces."""
    buffer = io.BytesIO()
    writer = tar.Writer(buffer)
    made: set[str] = set()
    for name, content in members:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            folder = "/".join(parts[:depth])
            if folder not in made:
                made.add(folder)
                writer.add(Entry(folder, Kind.DIRECTORY, 0o755, mtime_ns=_TIME))
        entry = Entry(name, Kind.FILE, 0o755, mtime_ns=_TIME, size=len(content))
        writer.add(entry, [content])
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()
    writer.close()
    yield buffer.getvalue()


def kernel_files() -> Iterator[tuple[str, bytes]]:
    """A kernel of 14 MB and its modules as an archive of 100 MB."""
    yield "kernel", Stuff(1).take(14 * MB)
    modules = b"".join(archive(files("lib/modules/6.12/kernel", 1100, 100 * MB, 2)))
    yield "kernel.tar", modules


def add_image(cache: Cache, name: str, members: Iterator[tuple[str, bytes]]) -> None:
    """Put an image of one layer into the cache, its layer indexed as after a pull."""
    with tempfile.TemporaryFile() as packed:
        with CompressedWriter(packed, Compression.GZIP) as writer:
            hasher = hashlib.sha256()
            for piece in archive(members):
                hasher.update(piece)
                writer.write(piece)
        size = packed.tell()
        packed.seek(0)
        layer = cache.put_blob(packed)
    config = ImageConfig(
        architecture=Platform.host().architecture,
        os="linux",
        config=ContainerConfig(cmd=("/bin/app",)),
        rootfs=RootFs(diff_ids=(Digest(f"sha256:{hasher.hexdigest()}"),)),
    )
    config_descriptor = _put(cache, model.OCI_CONFIG, model.encode(config))
    manifest = Manifest(
        config=config_descriptor, layers=(Descriptor(model.OCI_LAYER_GZIP, layer, size),)
    )
    cache.tag(Reference.parse(name), _put(cache, model.OCI_MANIFEST, model.encode(manifest)))
    image_tree(cache, cache.image(Reference.parse(name), Platform.host()))


def _put(cache: Cache, media_type: str, data: bytes) -> Descriptor:
    return Descriptor(media_type, cache.put_blob(data), len(data))


def make(folder: Path) -> None:
    """Fill the cache in `folder`, unless it is there."""
    done = folder / "complete"
    if done.exists():
        return
    cache = Cache(folder)
    add_image(cache, "bench/kernel:1", kernel_files())
    add_image(cache, "bench/init:1", files("usr/lib", 400, 6 * MB, 3))
    add_image(cache, "bench/containerd:1", files("usr/bin", 9, 90 * MB, 4))
    add_image(cache, "bench/app:1", files("srv", 2500, 120 * MB, 5))
    done.touch()


if __name__ == "__main__":
    make(Path(sys.argv[1]))
