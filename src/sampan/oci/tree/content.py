"""The contents of files in an image, streamed out of its compressed layers.

One pass over each layer that has something wanted, none over the others. Decompression runs
in a background thread, a few mebibytes ahead; what is handed out are views of its pieces,
so nothing is copied and no layer is ever held whole.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from itertools import groupby
from operator import attrgetter
from typing import IO, Protocol

from sampan.base.entry import Kind
from sampan.oci import compression
from sampan.oci.compression import Compression
from sampan.oci.layout import Cache, Image
from sampan.oci.readahead import ReadAhead
from sampan.oci.tree.flat import Node

Chunk = bytes | memoryview

_MAGIC_SIZE = 6


class _Cursor(Protocol):
    """A position in the uncompressed bytes of a layer that only moves forward."""

    def skip_to(self, offset: int) -> None: ...
    def take(self, size: int) -> Iterator[Chunk]: ...


def contents(
    cache: Cache, image: Image, nodes: Iterable[Node]
) -> Generator[tuple[Node, Iterator[Chunk]], None, None]:
    """The contents of those `nodes` (of `image_tree(cache, image)`) that are files.

    In the order of layers and of offsets in them, whatever the order of `nodes`. Each content
    is to be read, as far as it is wanted, before the next is asked for. Closing the generator
    ends the thread.

    Raises:
        ValueError: a node is given twice; one pass has every byte once.
        BlobMissingError: a layer is not in the cache any more.
        DamagedBlobError: a layer was damaged on disk; it is not there any more.
        DamagedStreamError: a layer was damaged by whoever made it.
    """
    files = sorted(
        (node for node in nodes if node.entry.kind is Kind.FILE), key=attrgetter("layer", "offset")
    )
    for layer, group in groupby(files, key=attrgetter("layer")):
        yield from _layer_contents(cache, image, layer, group)


def _layer_contents(
    cache: Cache, image: Image, layer: int, nodes: Iterable[Node]
) -> Iterator[tuple[Node, Iterator[Chunk]]]:
    digest = image.layers[layer].digest
    what = f"layer {digest} of {image.reference.familiar}"
    cache.blobs.check(digest, image.reference.familiar)
    with cache.open_blob(digest) as blob:
        packed = compression.detect(blob.read(_MAGIC_SIZE)) is not Compression.NONE
        blob.seek(0)
        if not packed:
            yield from _each(_PlainCursor(blob, what), nodes)
            return
        with ReadAhead(compression.decompress(blob, what=what)) as pieces:
            yield from _each(_PieceCursor(pieces, what), nodes)


def _each(cursor: _Cursor, nodes: Iterable[Node]) -> Iterator[tuple[Node, Iterator[Chunk]]]:
    for node in nodes:
        size = node.entry.size
        if not size:
            yield node, iter(())
            continue
        cursor.skip_to(node.offset)
        yield node, cursor.take(size)


class _PieceCursor:
    """For compressed layers: what is skipped is decompressed all the same."""

    def __init__(self, pieces: Iterator[bytes], what: str) -> None:
        self._pieces = pieces
        self._what = what
        self._piece = memoryview(b"")
        self._position = 0  # of the beginning of `_piece`

    def skip_to(self, offset: int) -> None:
        if offset < self._position:
            raise ValueError(f"byte {offset} of {self._what} has passed")
        while offset >= self._position + len(self._piece):
            self._next()
        self._piece = self._piece[offset - self._position :]
        self._position = offset

    def take(self, size: int) -> Iterator[Chunk]:
        while size:
            if not self._piece:
                self._next()
            chunk = self._piece[:size]
            self._piece = self._piece[len(chunk) :]
            self._position += len(chunk)
            size -= len(chunk)
            yield chunk

    def _next(self) -> None:
        self._position += len(self._piece)
        piece = next(self._pieces, None)
        if piece is None:
            raise compression.DamagedStreamError(f"{self._what} ends too early")
        self._piece = memoryview(piece)


class _PlainCursor:
    """For layers that are not compressed: what is skipped is not read."""

    def __init__(self, blob: IO[bytes], what: str) -> None:
        self._blob = blob
        self._what = what

    def skip_to(self, offset: int) -> None:
        self._blob.seek(offset, os.SEEK_SET)

    def take(self, size: int) -> Iterator[Chunk]:
        while size:
            chunk = self._blob.read(min(size, compression.PIECE))
            if not chunk:
                raise compression.DamagedStreamError(f"{self._what} ends too early")
            size -= len(chunk)
            yield chunk
