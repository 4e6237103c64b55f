"""The `files` section (linuxkit.md 2.8): its entries, put into the image.

Better than LinuxKit: a folder that is there already keeps its owner and mode when a file is
put into it, and a path that leads through a link of an image (`/lib/x` where `/lib` is a link)
ends up where the link leads. Only missing folders are made, as LinuxKit makes them. Pure;
sources are found in `sampan.image.source`.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.base.entry import Entry, Kind
from sampan.errors import DocumentError, Problem, SampanError
from sampan.image import idmap
from sampan.image.scene import Scene
from sampan.image.step import Content, HostFile, Supplies
from sampan.spec import dump
from sampan.spec.model import File, Spec

_FILE_MODE = 0o600
_FOLDER_MODE = 0o700


def place_files(scene: Scene, spec: Spec, supplies: Supplies, *, ids: Mapping[str, int]) -> None:
    """Put every entry of `files`, in their order, with the folders they need.

    Raises:
        DocumentError: an image has a folder where a file is to be.
    """
    for index, file in enumerate(spec.files):
        if file.source and index not in supplies.sources:
            continue
        content = _content(file, spec, supplies.sources.get(index))
        try:
            _put(scene, file, content, ids, f"files[{index}]")
        except SampanError as error:
            raise DocumentError([Problem(f"files[{index}].path", error.message)]) from error


def _content(file: File, spec: Spec, source: HostFile | None) -> Content:
    if source is not None:
        return source
    if file.metadata:
        text = dump.to_json(spec) if file.metadata == "json" else dump.to_yaml(spec)
        return text.encode()
    return (file.contents or "").encode()


def _put(scene: Scene, file: File, content: Content, ids: Mapping[str, int], path: str) -> None:
    folder = file.directory is True
    mode = file.mode.bits if file.mode else _FOLDER_MODE if folder else _FILE_MODE
    uid = idmap.resolve(file.uid, ids, f"{path}.uid")
    gid = idmap.resolve(file.gid, ids, f"{path}.gid")
    name = scene.resolve(file.name)
    plain = scene.entry("", Kind.DIRECTORY, _searchable(mode))
    _put_parents(scene, name, Entry("", plain.kind, plain.mode, uid, gid, plain.mtime_ns))
    kind = Kind.DIRECTORY if folder else Kind.SYMLINK if file.symlink else Kind.FILE
    size = 0
    if kind is Kind.FILE:
        size = content.size if isinstance(content, HostFile) else len(content)
    target = file.symlink or "" if kind is Kind.SYMLINK else ""
    entry = Entry(name, kind, mode, uid, gid, plain.mtime_ns, size, target)
    scene.put(entry, content if kind is Kind.FILE else b"")


def _searchable(mode: int) -> int:
    """The mode of a folder made for a file: x for everyone who has any right."""
    mode &= 0o777
    for bits, search in ((0o700, 0o100), (0o070, 0o010), (0o007, 0o001)):
        if mode & bits:
            mode |= search
    return mode


def _put_parents(scene: Scene, name: str, like: Entry) -> None:
    parts = name.split("/")
    for depth in range(1, len(parts)):
        parent = "/".join(parts[:depth])
        if not scene.has(parent):
            scene.put(Entry(parent, Kind.DIRECTORY, like.mode, like.uid, like.gid, like.mtime_ns))
