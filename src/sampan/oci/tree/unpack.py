"""Unpack an image into a folder, without ever touching anything outside of it.

Works without root rights: then owners and devices are left out, which is said by the caller
if it matters. Every folder is opened by descriptor, component by component, without following
links, so that not even somebody who writes there at the same time can lead us out.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.oci.layout import Cache, Image
from sampan.oci.tree.content import Chunk, contents
from sampan.oci.tree.flat import Node
from sampan.oci.tree.image import image_tree

_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPEN_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_DEVICES = (Kind.CHARACTER, Kind.BLOCK)
_TYPES = {Kind.CHARACTER: stat.S_IFCHR, Kind.BLOCK: stat.S_IFBLK, Kind.FIFO: stat.S_IFIFO}


class ExtractError(SampanError):
    """An image cannot be unpacked where it should go."""


def extract(cache: Cache, image: Image, folder: Path) -> None:
    """Unpack `image` into `folder`, which must be empty or not exist.

    As root, owners, devices and all extended attributes are set; as anybody else only what
    anybody may set.

    Raises:
        ExtractError: the folder is not empty, or the system refuses a file.
        SampanError: a layer is missing or damaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ExtractError(f"{folder} is not empty", hint="name a folder that does not exist yet")
    nodes = image_tree(cache, image).nodes
    with _Target(folder) as target:
        _unpack(target, cache, image, nodes)


def _unpack(target: _Target, cache: Cache, image: Image, nodes: Iterable[Node]) -> None:
    folders, links = [], []
    for node in nodes:
        match node.entry.kind:
            case Kind.DIRECTORY:
                target.make_folder(node.entry)
                folders.append(node.entry)
            case Kind.HARDLINK:
                links.append(node.entry)
            case Kind.FILE:
                pass  # below, in the order of the layers
            case _:
                target.make_special(node.entry)
    for node, chunks in contents(cache, image, nodes):
        target.make_file(node.entry, chunks)
    for entry in links:
        target.make_link(entry)
    for entry in reversed(folders):  # last, and from within: making files changes their times
        target.finish_folder(entry)


class _Target:
    """The folder that is filled. Keeps the folder of the last entry open for the next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._root = os.open(folder, _OPEN_FOLDER)
        self._open: tuple[str, int] = ("", self._root)
        self._privileged = os.geteuid() == 0
        self._skipped: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keep("", self._root)
        os.close(self._root)

    def make_folder(self, entry: Entry) -> None:
        if entry.name:
            with self._explained(entry):
                parent, base = self._parent(entry.name)
                os.mkdir(base, 0o700, dir_fd=parent)

    def finish_folder(self, entry: Entry) -> None:
        with self._explained(entry):
            parent, base = self._parent(entry.name) if entry.name else (self._root, ".")
            descriptor = os.open(base, _OPEN_FOLDER, dir_fd=parent)
            try:
                self._finish(descriptor, entry)
            finally:
                os.close(descriptor)

    def make_file(self, entry: Entry, chunks: Iterable[Chunk]) -> None:
        with self._explained(entry):
            parent, base = self._parent(entry.name)
            descriptor = os.open(base, _OPEN_FILE, 0o600, dir_fd=parent)
            with os.fdopen(descriptor, "wb", buffering=0) as stream:
                for chunk in chunks:
                    rest = memoryview(chunk)
                    while rest:
                        rest = rest[stream.write(rest) :]
                self._finish(descriptor, entry)

    def make_special(self, entry: Entry) -> None:
        if entry.kind in _DEVICES and not self._privileged:
            self._skipped.add(entry.name)
            return
        with self._explained(entry):
            parent, base = self._parent(entry.name)
            if entry.kind is Kind.SYMLINK:
                os.symlink(entry.target, base, dir_fd=parent)
            else:
                device = os.makedev(*entry.device)
                os.mknod(base, _TYPES[entry.kind] | 0o600, device, dir_fd=parent)
            if self._privileged:
                os.chown(base, entry.uid, entry.gid, dir_fd=parent, follow_symlinks=False)
            if entry.kind is not Kind.SYMLINK:
                os.chmod(base, entry.mode, dir_fd=parent)
            times = (entry.mtime_ns, entry.mtime_ns)
            os.utime(base, ns=times, dir_fd=parent, follow_symlinks=False)

    def make_link(self, entry: Entry) -> None:
        if entry.target in self._skipped:
            return
        with self._explained(entry):
            source_parent, source = self._parent(entry.target)
            source_parent = os.dup(source_parent)  # the next look-up closes it
            try:
                parent, base = self._parent(entry.name)
                os.link(source, base, src_dir_fd=source_parent, dst_dir_fd=parent,
                        follow_symlinks=False)  # fmt: skip
            finally:
                os.close(source_parent)

    def _finish(self, descriptor: int, entry: Entry) -> None:
        if self._privileged:
            os.fchown(descriptor, entry.uid, entry.gid)
        for name, value in entry.xattrs:
            if self._privileged or name.startswith("user."):
                _set_xattr(descriptor, name, value)
        os.fchmod(descriptor, entry.mode)  # after the owner: changing that clears setuid
        os.utime(descriptor, ns=(entry.mtime_ns, entry.mtime_ns))

    def _parent(self, name: str) -> tuple[int, str]:
        folder, _, base = name.rpartition("/")
        if folder != self._open[0]:
            current = os.dup(self._root)
            for part in folder.split("/") if folder else ():
                try:
                    following = os.open(part, _OPEN_FOLDER, dir_fd=current)
                finally:
                    os.close(current)
                current = following
            self._keep(folder, current)
        return self._open[1], base

    def _keep(self, folder: str, descriptor: int) -> None:
        if self._open[1] != self._root:
            os.close(self._open[1])
        self._open = (folder, descriptor)

    @contextmanager
    def _explained(self, entry: Entry) -> Iterator[None]:
        """Say which file it was that the system refused."""
        try:
            yield
        except OSError as error:
            shown = os.fsencode(entry.name).decode(errors="backslashreplace")
            raise ExtractError(
                f"cannot unpack {shown} into {self._folder}: {error.strerror}"
            ) from error


def _set_xattr(descriptor: int, name: str, value: bytes) -> None:
    try:
        os.setxattr(descriptor, name, value)
    except OSError as error:
        if error.errno != errno.ENOTSUP:  # tmpfs and others have none of this kind
            raise
