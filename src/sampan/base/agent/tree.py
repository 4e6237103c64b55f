"""Copies of files and folders as one stream, and their safe unpacking.

A stream is a row of records, each a header (length u16, JSON) and, for a file, its bytes; a
header of length 0 ends it. Paths are relative to what is copied, whose own path is empty;
parents come first. Modes and times are kept, symbolic links stay links, owners and special
files are left out. Not tar: a header of ours is short, so that no sender can fill memory.

Unpacking trusts nobody: what is written is reached from the target folder, component by
component, through no link; a file appears whole under its name, or not at all; sizes, numbers
and depth are bounded.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple, Self

_LENGTH = struct.Struct("<H")
MAX_HEADER = 16 << 10
MAX_PATH = 4096
MAX_DEPTH = 100  # folders; each is an open descriptor
PIECE = 64 << 10
_OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
FILE, FOLDER, LINK = "file", "folder", "link"


class TreeError(Exception):
    """A copy cannot go on; the text says what and why."""


class Limits(NamedTuple):
    """What an unpacked tree may have; `mode_mask` are the bits of modes that are kept."""

    size_bytes: int = 64 << 30
    entries: int = 1_000_000
    mode_mask: int = 0o777


def pack(source: str) -> Iterator[bytes]:
    """The stream of what is at `source`; a link there is followed, those below are not.

    Raises:
        OSError: it is not there, or cannot be read.
        TreeError: it is neither a file nor a folder.
    """
    found = os.stat(source)
    if not stat.S_ISREG(found.st_mode) and not stat.S_ISDIR(found.st_mode):
        raise TreeError(f"{source} is neither a file nor a folder")
    waiting = [("", os.fsdecode(source), found)]
    while waiting:
        path, place, found = waiting.pop()
        yield from _record(path, place, found)
        if stat.S_ISDIR(found.st_mode):
            with os.scandir(place) as scanned:
                entries = sorted(scanned, key=lambda entry: entry.name, reverse=True)
            for entry in entries:
                below = f"{path}/{entry.name}" if path else entry.name
                waiting.append((below, entry.path, entry.stat(follow_symlinks=False)))
    yield _LENGTH.pack(0)


def _record(path: str, place: str, found: os.stat_result) -> Iterator[bytes]:
    head: dict[str, Any] = {
        "path": path, "mode": stat.S_IMODE(found.st_mode), "mtime_ns": found.st_mtime_ns,
    }  # fmt: skip
    if stat.S_ISDIR(found.st_mode):
        yield _header({**head, "kind": FOLDER})
    elif stat.S_ISLNK(found.st_mode):
        yield _header({**head, "kind": LINK, "target": os.readlink(place)})
    elif stat.S_ISREG(found.st_mode):
        with open(place, "rb", buffering=0) as stream:
            size = os.fstat(stream.fileno()).st_size
            yield _header({**head, "kind": FILE, "size": size})
            while size:
                piece = stream.read(min(PIECE, size))
                # a file that is cut meanwhile is filled up: its size has been said
                yield piece or bytes(min(PIECE, size))
                size -= len(piece) or min(PIECE, size)


def _header(head: dict[str, Any]) -> bytes:
    text = json.dumps(head, separators=(",", ":")).encode()
    if len(text) > MAX_HEADER:
        raise TreeError(f"the path {head['path'][:80]}… is too long")
    return _LENGTH.pack(len(text)) + text


class _Header(NamedTuple):
    parts: tuple[str, ...]
    kind: str
    mode: int
    mtime_ns: int
    size: int
    target: str


def _parse(text: bytes) -> _Header:
    """A header whose values are what they should be.

    Raises:
        TreeError: they are not.
    """
    ok, path, kind, target, numbers = False, "", "", "", (0, 0, 0)
    try:
        head = json.loads(text)
        path, kind, target = head["path"], head["kind"], head.get("target", "")
        numbers = head["mode"], head["mtime_ns"], head.get("size", 0)
        ok = (
            all(type(each) is str and "\0" not in each for each in (path, kind, target))
            and all(type(each) is int and 0 <= each < 2**63 for each in numbers)
            and kind in (FILE, FOLDER, LINK)
            and len(path) <= MAX_PATH
            and (kind != LINK or 0 < len(target) < MAX_PATH)
        )
        os.fsencode(path + target)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        ok = False
    if not ok:
        raise TreeError("the sender's description of a file makes no sense")
    parts = tuple(path.split("/")) if path else ()
    if len(parts) > MAX_DEPTH or not all(part not in ("", ".", "..") for part in parts):
        raise TreeError(f"the sender names a path that is not allowed: {path[:80]!r}")
    return _Header(parts, kind, *numbers, target)


class _Folder(NamedTuple):
    name: str
    descriptor: int
    mode: int | None  # None: leave it as it is
    mtime_ns: int


class Unpacker:
    """Writes a stream to `target`, or into it below `name` if it is a folder.

    A `target` that ends with a slash has to be a folder. Use as a context: what was open is
    closed in any case.

    Raises:
        OSError: the target cannot be reached.
    """

    def __init__(self, target: str, name: str, limits: Limits) -> None:
        if target.endswith("/") or os.path.isdir(target):
            folder, self._name = target, name
        else:
            folder, self._name = os.path.split(target)
        if self._name in ("", ".", ".."):
            raise TreeError(f"{target} does not say what the copy is to be called")
        self._limits = limits
        self._base = os.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._stack: list[_Folder] = []
        self._buffer = bytearray()
        self._entries = 0
        self._bytes = 0
        self._left = 0  # bytes of the file that is being written
        self._file: tuple[int, str, str, _Header] | None = None  # with both its names
        self.is_done = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            descriptor, part, _, _ = self._file
            os.close(descriptor)
            os.unlink(part, dir_fd=self._parent())
            self._file = None
        self._leave(0)
        os.close(self._base)

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the stream.

        Raises:
            TreeError: the sender asks for what is not allowed, or more than the limits.
            OSError: it cannot be written.
        """
        self._buffer += data
        while self._step():
            pass

    def _step(self) -> bool:
        """Do one thing with what is there; whether there may be another."""
        if self._file is not None:
            return self._write(self._file)
        if self.is_done and self._buffer:
            raise TreeError("the sender goes on after the end")
        if len(self._buffer) < _LENGTH.size:
            return False
        [length] = _LENGTH.unpack_from(self._buffer)
        if length > MAX_HEADER:
            raise TreeError("the sender's description of a file makes no sense")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return False
        text = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        if length:
            self._begin(_parse(text))
        else:
            self._leave(0)
            self.is_done = True
        return True

    def _begin(self, head: _Header) -> None:
        self._entries += 1
        self._bytes += head.size
        if self._entries > self._limits.entries:
            raise TreeError(f"there are more than {self._limits.entries} files")
        if self._bytes > self._limits.size_bytes:
            raise TreeError(f"there is more than {self._limits.size_bytes} bytes")
        if self._entries == 1 and head.parts:
            raise TreeError("the sender does not begin at the beginning")
        path = (self._name, *head.parts)
        self._enter(path[:-1])
        if head.kind == FOLDER:
            self._make_folder(path[-1], head)
        elif head.kind == LINK:
            self._make_link(path[-1], head.target)
        else:
            self._open_file(path[-1], head)

    def _enter(self, names: tuple[str, ...]) -> None:
        """Make the folder `names` the last one of the stack, whatever was."""
        same = 0
        while same < min(len(names), len(self._stack)) and self._stack[same].name == names[same]:
            same += 1
        self._leave(same)
        for name in names[same:]:
            descriptor = self._open_folder(name)
            self._stack.append(_Folder(name, descriptor, None, 0))

    def _leave(self, depth: int) -> None:
        while len(self._stack) > depth:
            folder = self._stack.pop()
            if folder.mode is not None:
                os.fchmod(folder.descriptor, folder.mode)
                os.utime(folder.descriptor, ns=(folder.mtime_ns, folder.mtime_ns))
            os.close(folder.descriptor)

    def _parent(self) -> int:
        return self._stack[-1].descriptor if self._stack else self._base

    def _open_folder(self, name: str) -> int:
        try:
            return os.open(name, _OPEN_FOLDER, dir_fd=self._parent())
        except OSError as error:
            raise TreeError(f"{name} is not a folder to write into: {error.strerror}") from error

    def _make_folder(self, name: str, head: _Header) -> None:
        try:
            os.mkdir(name, 0o700, dir_fd=self._parent())
        except FileExistsError:
            self._enter((*(folder.name for folder in self._stack), name))
            return
        descriptor = self._open_folder(name)
        mode = head.mode & self._limits.mode_mask
        self._stack.append(_Folder(name, descriptor, mode, head.mtime_ns))

    def _make_link(self, name: str, target: str) -> None:
        part = self._part()
        os.symlink(target, part, dir_fd=self._parent())
        self._rename(part, name)

    def _open_file(self, name: str, head: _Header) -> None:
        part = self._part()
        descriptor = os.open(part, _NEW_FILE, 0o600, dir_fd=self._parent())
        self._file, self._left = (descriptor, part, name, head), head.size

    def _write(self, file: tuple[int, str, str, _Header]) -> bool:
        descriptor, part, name, head = file
        while self._buffer and self._left:
            written = os.write(descriptor, memoryview(bytes(self._buffer[: self._left])))
            del self._buffer[:written]
            self._left -= written
        if self._left:
            return False
        os.fchmod(descriptor, head.mode & self._limits.mode_mask)
        os.utime(descriptor, ns=(head.mtime_ns, head.mtime_ns))
        os.close(descriptor)
        self._file = None
        self._rename(part, name)
        return True

    def _part(self) -> str:
        return f".sampan-part-{os.getpid()}-{self._entries}"

    def _rename(self, part: str, name: str) -> None:
        parent = self._parent()
        try:
            os.rename(part, name, src_dir_fd=parent, dst_dir_fd=parent)
        except OSError as error:
            os.unlink(part, dir_fd=parent)
            raise TreeError(f"{name} cannot be replaced: {error.strerror}") from error
