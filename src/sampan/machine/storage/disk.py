"""Disks of machines: what `--disk` says, and the files behind it, made, grown or left as they are.

`[file=]PATH[,size=SIZE][,format=raw|qcow2]` is LinuxKit's form: a bare size counts gigabytes,
and a disk without a path is `diskN.img` in the machine's state folder. What is there is used as
it is; a larger size grows it, a smaller one is refused. A new file appears whole or not at all.

The format of a file is what its first bytes say. A guest writes the first bytes of its raw
disks, so a qcow2 header that names files of the host is believed only if `format=qcow2` says so.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from pathlib import Path

import msgspec

from sampan.base import fs, proc
from sampan.base.units import format_size, parse_size
from sampan.errors import UsageError
from sampan.machine.device import Disk, DiskFormat
from sampan.machine.error import MachineError

SECTOR_BYTES = 512
_KEYS = ("file", "size", "format")
_MAX_BYTES = 1 << 50  # more is a slip of the pen, and no filesystem of the host holds it
_QCOW2_HEADER = struct.Struct(">4sIQIIQ")  # QEMU, docs/interop/qcow2.txt: up to the size
_QCOW2_MAGIC = b"QFI\xfb"
_QCOW2_FEATURES = struct.Struct(">Q")
_QCOW2_FEATURES_AT = 72
_QCOW2_MAX_BACKING = 1023  # bytes of the name
_EXTERNAL_DATA = 1 << 2
_FOREIGN = {b"KDMV": "VMDK", b"vhdx": "VHDX", b"COWD": "VMDK", b"QED\0": "QED"}
_LOCKED_FROM, _LOCKED_BYTES = 100, 200  # QEMU, block/file-posix.c: RAW_LOCK_PERM_BASE and on


class DiskError(MachineError):
    """A disk that cannot be used, or not so."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """A disk as it was asked for; None is what was not said."""

    path: Path | None = None
    size_bytes: int | None = None
    format: DiskFormat | None = None


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What a disk's file says of itself; `leads_out` if it names other files of the host."""

    format: DiskFormat
    size_bytes: int
    leads_out: bool = False


def parse(text: str) -> Wanted:
    """What `--disk TEXT` asks for.

    Raises:
        UsageError: it makes no sense.
    """
    given: dict[str, str] = {}
    for place, part in enumerate(text.split(",")):
        key, equals, value = part.partition("=")
        is_path = not equals or not get_close_matches(key, _KEYS)  # it may have an equals sign
        if place == 0 and is_path:
            key, value = "file", part
        if key not in _KEYS or not value or key in given:
            raise UsageError(
                f"--disk {text}: {part!r} makes no sense",
                hint="say [file=]PATH[,size=1G][,format=raw|qcow2]",
            )
        given[key] = value
    return Wanted(
        path=Path(given["file"]) if "file" in given else None,
        size_bytes=_size(given["size"]) if "size" in given else None,
        format=_format(given["format"]) if "format" in given else None,
    )


def _size(text: str) -> int:
    try:
        size = parse_size(text, unit="G")
    except ValueError as error:
        raise UsageError(f"--disk: {error}") from error
    if not 0 < size <= _MAX_BYTES:
        raise UsageError(f"--disk: no disk has a size of {text}", hint="say for instance size=4G")
    return -(-size // SECTOR_BYTES) * SECTOR_BYTES


def _format(text: str) -> DiskFormat:
    try:
        return DiskFormat(text)
    except ValueError:
        raise UsageError(
            f"--disk: {text!r} is no format of disks here", hint=f"say {' or '.join(DiskFormat)}"
        ) from None


def default_name(number: int) -> str:
    """What the file of disk `number` of a machine (the first is 0) is called if nobody named one."""
    return f"disk{number}.img"


def prepare_all(
    wanted: Sequence[Wanted], folder: Path, *, new_format: DiskFormat = DiskFormat.QCOW2
) -> tuple[Disk, ...]:
    """The disks of one machine, in order; those without a path are `diskN.img` in `folder`.

    Raises:
        UsageError: two are the same file.
        DiskError, ToolMissingError: as `prepare`.
    """
    disks: list[Disk] = []
    for number, each in enumerate(wanted):
        disk = prepare(each, folder / default_name(number), new_format=new_format)
        if any(disk.path.samefile(other.path) for other in disks):
            raise UsageError(f"the disk {disk.path} is given twice")
        disks.append(disk)
    return tuple(disks)


def planned(
    wanted: Sequence[Wanted], folder: Path, *, new_format: DiskFormat = DiskFormat.QCOW2
) -> tuple[Disk, ...]:
    """What `prepare_all` would give; no file is made or grown.

    Raises:
        DiskError: a file is no disk.
        OSError: a file cannot be read.
    """
    disks = []
    for number, each in enumerate(wanted):
        path = each.path or folder / default_name(number)
        kind = facts(path).format if path.exists() else each.format or new_format
        disks.append(Disk(path=path.absolute(), format=kind))
    return tuple(disks)


def prepare(
    wanted: Wanted, default_path: Path, *, new_format: DiskFormat = DiskFormat.QCOW2
) -> Disk:
    """The disk that was asked for, its file made, grown, or left as it is.

    `default_path` is the file when none was named. A new one is kept as `new_format` unless said
    otherwise.

    Raises:
        DiskError: the file is no disk, is used by another machine, has another format than
            was said, or is larger than the size that was said.
        ToolMissingError: `qemu-img` is needed, to make or grow a qcow2 disk, and not there.
    """
    path = wanted.path or default_path
    if wanted.path is not None and not path.parent.exists():  # a slip would be made, too
        raise DiskError(
            f"cannot make the disk {path}: there is no folder {path.parent}", hint="make it first"
        )
    try:
        if not path.exists():
            with suppress(FileExistsError):  # made by somebody else at this very moment
                return _create(path, wanted, new_format)
        return _reuse(path, wanted)
    except OSError as error:
        raise DiskError(f"cannot use the disk {path}: {error.strerror}") from error


def facts(path: Path) -> Facts:
    """What the file of a disk says of itself.

    Raises:
        DiskError: it is no disk that machines here can have.
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise DiskError(f"{path} is no regular file", hint="a disk is kept in a file")
    with path.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        header = stream.read(_QCOW2_FEATURES_AT + _QCOW2_FEATURES.size)
    if header.startswith(_QCOW2_MAGIC):
        return _qcow2_facts(path, header)
    for magic, name in _FOREIGN.items():
        if header.startswith(magic):
            raise DiskError(
                f"{path} is a {name} image, which machines here cannot have",
                hint=f"convert it: qemu-img convert -O qcow2 {path} {path.with_suffix('.qcow2')}",
            )
    return Facts(format=DiskFormat.RAW, size_bytes=size)


def backing(path: Path) -> Path | None:
    """The file that a disk of qcow2 holds only the differences from; None if it holds all.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as stream:
        header = stream.read(_QCOW2_HEADER.size)
        if len(header) < _QCOW2_HEADER.size or not header.startswith(_QCOW2_MAGIC):
            return None
        _, _, offset, length, _, _ = _QCOW2_HEADER.unpack(header)
        if not offset or not 0 < length <= _QCOW2_MAX_BACKING:
            return None
        stream.seek(offset)
        name = stream.read(length)
    return None if b"\0" in name else path.parent / os.fsdecode(name)


def _qcow2_facts(path: Path, header: bytes) -> Facts:
    if len(header) < _QCOW2_HEADER.size:
        raise DiskError(f"{path} is cut off: only the beginning of a qcow2 disk is left")
    _, version, backing, _, _, size = _QCOW2_HEADER.unpack_from(header)
    if version not in (2, 3):
        raise DiskError(f"{path}: qcow2 of version {version} is not known here")
    features = 0
    if version == 3 and len(header) >= _QCOW2_FEATURES_AT + _QCOW2_FEATURES.size:
        (features,) = _QCOW2_FEATURES.unpack_from(header, _QCOW2_FEATURES_AT)
    leads_out = bool(backing) or bool(features & _EXTERNAL_DATA)
    return Facts(format=DiskFormat.QCOW2, size_bytes=size, leads_out=leads_out)


def _reuse(path: Path, wanted: Wanted) -> Disk:
    found = facts(path)
    _check_format(path, wanted, found)
    _check_free(path)
    if wanted.size_bytes is not None and wanted.size_bytes < found.size_bytes:
        raise DiskError(
            f"the disk {path} has {format_size(found.size_bytes)} and cannot shrink to "
            f"{format_size(wanted.size_bytes)}: what is at its end would be lost",
            hint="leave size= away, or say a larger one",
        )
    if wanted.size_bytes is not None and wanted.size_bytes > found.size_bytes:
        _grow(path, found.format, wanted.size_bytes)
    elif found.size_bytes == 0:
        raise DiskError(f"the disk {path} is empty", hint=f"say its size: --disk {path},size=1G")
    return Disk(path=path.absolute(), format=found.format)


def _check_format(path: Path, wanted: Wanted, found: Facts) -> None:
    if wanted.format is None and found.leads_out:
        raise DiskError(
            f"the disk {path} takes its content from other files of this computer",
            hint=f"if you know what made it: --disk {path},format=qcow2",
        )
    if wanted.format not in (None, found.format):
        raise DiskError(
            f"the disk {path} is {found.format}, not {wanted.format}",
            hint="leave format= away, or name another file",
        )


def _check_free(path: Path) -> None:
    """Refuse a disk that a QEMU has open; it locks bytes that stand for what it may do.

    Raises:
        DiskError: one has, or the file may not be written.
    """
    with path.open("r+b") as stream:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCKED_BYTES, _LOCKED_FROM)
        except BlockingIOError:
            raise in_use(path) from None


def in_use(path: Path | str) -> DiskError:
    """The error for a disk that another machine has."""
    return DiskError(
        f"the disk {path} is used by another machine",
        hint="end that machine first, or give this one a disk of its own",
    )


def _create(path: Path, wanted: Wanted, new_format: DiskFormat) -> Disk:
    size = wanted.size_bytes
    if size is None:
        raise DiskError(
            f"there is no disk {path}", hint=f"to make one, say its size: --disk {path},size=1G"
        )
    kind = wanted.format or new_format
    path.parent.mkdir(parents=True, exist_ok=True)
    fs.remove_stale(path.parent)
    with _appearing(path) as new:
        if kind is DiskFormat.RAW:
            os.truncate(new, size)
        else:
            _image_tool("create", "-q", "-f", "qcow2", str(new.absolute()), str(size))
    return Disk(path=path.absolute(), format=kind)


@contextmanager
def _appearing(path: Path) -> Iterator[Path]:
    """An empty file beside `path` that gets that name if the block ends well; never replaces one.

    Raises:
        FileExistsError: there is one by now.
    """
    new = path.with_name(f"{fs.TEMPORARY_PREFIX}{secrets.token_hex(6)}")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with suppress(OSError):  # a filesystem without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # not stale: see fs.remove_stale
        yield new
        os.fsync(descriptor)
        _name(new, path)
        fs.sync_folder(path.parent)
    finally:
        os.close(descriptor)
        new.unlink(missing_ok=True)


def _name(new: Path, path: Path) -> None:
    try:
        os.link(new, path)
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP) or path.exists():
            raise
        new.rename(path)  # a filesystem without hard links, such as FAT


def _grow(path: Path, kind: DiskFormat, size_bytes: int) -> None:
    if kind is DiskFormat.RAW:
        os.truncate(path, size_bytes)
    else:
        _image_tool("resize", "-q", "-f", "qcow2", str(path.absolute()), str(size_bytes))


def _image_tool(*words: str) -> None:
    proc.run(["qemu-img", *words])
