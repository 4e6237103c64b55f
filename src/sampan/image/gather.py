"""Everything a plan needs, brought together: images looked into, files of the host measured.

What takes long is done once: file trees of images, the listing of the kernel's modules and
single files that are wanted on their own are kept in the store.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO

from sampan.base.entry import Kind
from sampan.errors import SampanError
from sampan.image.finder import Finder
from sampan.image.larder import Larder
from sampan.image.source import read_sources
from sampan.image.step import HostFile, Ingredient, KernelFiles, Supplies
from sampan.image.store import Store
from sampan.image.volume import image_layout
from sampan.oci import layer
from sampan.oci.compression import PieceReader
from sampan.oci.layout import Image
from sampan.oci.tree import Chunk, Node, Tree, contents, flatten, image_tree
from sampan.spec.label import find_label, parse_label
from sampan.spec.model import Kernel, Spec

_APK = "lib/apk/db/installed"
_DEFAULT_BINARY = "kernel"
_DEFAULT_TAR = "kernel.tar"
_NO_TAR = ("", "none")
_STORED_FILE = "file 1"
_STORED_INDEX = "index 1"


class Gatherer:
    """Makes ingredients of images and notes in `larder` where their contents are."""

    def __init__(self, finder: Finder, larder: Larder, store: Store) -> None:
        self._finder = finder
        self._larder = larder
        self._store = store
        self._trees: dict[str, Tree] = {}
        self.images: dict[str, Image] = {}

    def gather(self, spec: Spec, *, home: Path) -> Supplies:
        """Everything that `spec` names, but for the SBOM.

        Raises:
            SampanError: an image cannot be had, or lacks what it should have.
            DocumentError: sources of `files` are missing.
        """
        sources = read_sources(spec, home=home)
        self.images = self._finder.find(_names(spec))
        kernel = self._kernel(spec.kernel) if spec.kernel.image else None
        return Supplies(
            kernel=kernel,
            images={name: self._ingredient(self.images[name]) for name in _unpacked(spec)},
            volumes={
                volume.name: image_layout(self._larder.cache, self.images[volume.image], volume)
                for volume in spec.volumes
                if volume.image and volume.format == "oci"
            },
            sources=sources,
            installed=tuple(self._installed(spec)),
        )

    def _ingredient(self, image: Image) -> Ingredient:
        identity = str(image.digest)
        self._larder.add_image(identity, image)
        name = image.reference.canonical
        label = find_label(image.config.config.labels)
        if label is None:
            return Ingredient(name, identity, self._tree(image), image.config.config)
        settings = parse_label(label, f"label of {image.reference.familiar}")
        return Ingredient(name, identity, self._tree(image), image.config.config, settings)

    def _tree(self, image: Image) -> Tree:
        identity = str(image.digest)
        if identity not in self._trees:
            self._trees[identity] = image_tree(self._larder.cache, image)
        return self._trees[identity]

    def _kernel(self, kernel: Kernel) -> KernelFiles:
        image = self.images[kernel.image or ""]
        nodes = self._tree(image).by_name
        binary = _must_have(nodes, kernel.binary or _DEFAULT_BINARY, image, "kernel")
        archive: Node | None = None
        tar = kernel.tar if isinstance(kernel.tar, str) else _DEFAULT_TAR
        if tar not in _NO_TAR:
            archive = _must_have(nodes, tar, image, "kernel tar")
        ucode = nodes.get(kernel.ucode) if kernel.ucode else None
        self._extract(image, [node for node in (binary, archive, ucode) if node], archive)
        return KernelFiles(
            self._host_file(binary),
            binary.entry.mode,
            None if archive is None else self._modules(image, archive),
            None if ucode is None else self._host_file(ucode),
        )

    def _modules(self, image: Image, archive: Node) -> Ingredient:
        identity = f"tar {archive.digest.hex()}"
        self._larder.add_archive(identity, image, archive)
        index = self._index(archive)
        if index is None:  # damaged on disk, or removed meanwhile: it is made again
            self._index_path(archive).unlink(missing_ok=True)
            self._extract(image, [archive], archive)
            index = self._index(archive)
        if index is None:
            raise SampanError(f"the list of the kernel's modules in {self._store.folder} is lost")
        name = f"{archive.entry.name} of {image.reference.familiar}"
        return Ingredient(name, identity, flatten([index]))

    def _index(self, archive: Node) -> layer.LayerIndex | None:
        with self._store.open(self._index_path(archive)) as found:
            return None if found is None else layer.load(found.read())

    def _extract(self, image: Image, nodes: Iterable[Node], archive: Node | None) -> None:
        """Have the files in the store, and the index of `archive`, with one pass over the image."""
        missing = [
            node
            for node in nodes
            if not self._store.has(
                self._index_path(node) if node is archive else self._file_path(node)
            )
        ]
        for node, chunks in contents(self._larder.cache, image, missing):
            if node is archive:
                write = partial(_write_index, chunks=chunks, name=node.entry.name)
                self._store.make(self._index_path(node), write)
            else:
                self._store.make(self._file_path(node), partial(_write_lines, chunks=chunks))

    def _file_path(self, node: Node) -> Path:
        return self._store.path(_STORED_FILE, node.digest.hex())

    def _index_path(self, node: Node) -> Path:
        return self._store.path(_STORED_INDEX, node.digest.hex())

    def _host_file(self, node: Node) -> HostFile:
        return HostFile(self._file_path(node), node.entry.size, node.digest)

    def _installed(self, spec: Spec) -> Iterator[bytes]:
        """The apk databases of the init images, if there is more than one."""
        having = []
        for name in spec.init:
            node = self._tree(self.images[name]).by_name.get(_APK)
            if node is not None and node.entry.kind is Kind.FILE:
                having.append((self.images[name], node))
        for image, node in having if len(having) > 1 else ():
            self._extract(image, [node], None)
            with self._store.open(self._file_path(node)) as found:
                yield b"" if found is None else found.read()


def _write_lines(out: IO[bytes], chunks: Iterator[Chunk]) -> None:
    out.writelines(chunks)


def _write_index(out: IO[bytes], chunks: Iterator[Chunk], name: str) -> None:
    plain = io.BufferedReader(PieceReader(map(bytes, chunks)))
    out.write(layer.dump(layer.scan(plain, what=name)))


def _must_have(nodes: dict[str, Node], name: str, image: Image, what: str) -> Node:
    node = nodes.get(name.strip("/"))
    if node is None or node.entry.kind is not Kind.FILE:
        files = ", ".join(sorted(n for n in nodes if "/" not in n and n)) or "nothing"
        raise SampanError(
            f"did not find {what} {name!r} in {image.reference.familiar}",
            hint=f"at its top there is {files}",
        )
    return node


def _unpacked(spec: Spec) -> set[str]:
    """The names of images whose trees go into the system."""
    names = {container.image for _, _, container in spec.containers()} | set(spec.init)
    return names | {
        volume.image for volume in spec.volumes if volume.image and volume.format != "oci"
    }


def _names(spec: Spec) -> Iterator[tuple[str, str]]:
    """Every place in the document that names an image, with the name."""
    if spec.kernel.image:
        yield "kernel.image", spec.kernel.image
    for index, name in enumerate(spec.init):
        yield f"init[{index}]", name
    for index, volume in enumerate(spec.volumes):
        if volume.image:
            yield f"volumes[{index}].image", volume.image
    for section, index, container in spec.containers():
        yield f"{section}[{index}].image", container.image
