"""Where the contents of ingredients are read: layers in the cache, or an archive inside one.

Streams only: what is handed out is valid until the next is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from operator import attrgetter

from sampan.errors import SampanError
from sampan.image.step import Ingredient
from sampan.oci.layout import Cache, Image
from sampan.oci.tree import Chunk, Node, contents


class Larder:
    """The images that ingredients come from, by the ingredients' identity."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self._images: dict[str, Image] = {}
        self._archives: dict[str, tuple[Image, Node]] = {}

    def add_image(self, identity: str, image: Image) -> None:
        """The ingredient is the tree of `image`."""
        self._images[identity] = image

    def add_archive(self, identity: str, image: Image, node: Node) -> None:
        """The ingredient is an uncompressed tar that is the file `node` of `image`."""
        self._archives[identity] = (image, node)

    def contents(
        self, ingredient: Ingredient, nodes: Iterable[Node]
    ) -> Iterator[tuple[Node, Iterator[Chunk]]]:
        """The contents of `nodes` in the order of layers and offsets; see `oci.tree.contents`.

        Raises:
            SampanError: a layer is missing or damaged.
        """
        if ingredient.identity in self._images:
            return contents(self.cache, self._images[ingredient.identity], nodes)
        image, archive = self._archives[ingredient.identity]
        return self._inside(image, archive, nodes)

    def _inside(
        self, image: Image, archive: Node, nodes: Iterable[Node]
    ) -> Iterator[tuple[Node, Iterator[Chunk]]]:
        for _, chunks in contents(self.cache, image, [archive]):
            cursor = _Cursor(chunks, archive.entry.name)
            for node in sorted(nodes, key=attrgetter("offset")):
                cursor.skip_to(node.offset)
                yield node, cursor.take(node.entry.size)


class _Cursor:
    """A position in a stream of chunks that only moves forward."""

    def __init__(self, chunks: Iterator[Chunk], name: str) -> None:
        self._chunks = chunks
        self._name = name
        self._chunk = memoryview(b"")
        self._position = 0

    def skip_to(self, offset: int) -> None:
        while self._position < offset:
            self._step(offset - self._position)

    def take(self, size: int) -> Iterator[Chunk]:
        while size:
            piece = self._step(size)
            size -= len(piece)
            yield piece

    def _step(self, size: int) -> memoryview:
        if not self._chunk:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise SampanError(f"{self._name} ends too early")
            self._chunk = memoryview(chunk)
        piece, self._chunk = self._chunk[:size], self._chunk[size:]
        self._position += len(piece)
        return piece
