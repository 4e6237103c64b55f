"""Facts about a kernel image, and the kernel inside a compressed one.

Source: Documentation/arch/x86/boot.rst of Linux ("The Real-Mode Kernel Header"). Only x86's
bzImage tells its version; of other images nothing is known here.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import IO, BinaryIO

import msgspec

from sampan.errors import SampanError
from sampan.oci import compression
from sampan.oci.compression import Compression

_SECTOR = 512
_HEADER_END = 0x250
_VERSION_LIMIT = 512
_PAYLOAD_LIMIT = 256 << 20
_SIZE_BYTES = 4  # behind all payloads but gzip's stands their unpacked size
_GZIP_MAGIC = b"\x1f\x8b"
_FIRST_WITH_ZSTD = (5, 9)


class KernelError(SampanError):
    """The file is not a kernel, or not one that this can be done with."""


class Kernel(msgspec.Struct, frozen=True):
    """A kernel image: its version as `uname -r` says (empty if unknown), and its payload.

    `payload` is offset and length of the compressed kernel in the file, None if there is none.
    """

    version: str = ""
    payload: tuple[int, int] | None = None

    @property
    def release(self) -> tuple[int, int] | None:
        """Major and minor version; None when it is not known."""
        found = re.match(r"(\d+)\.(\d+)", self.version)
        return (int(found[1]), int(found[2])) if found else None

    @property
    def unpacks_zstd(self) -> bool:
        """Whether it can unpack an initrd of zstd (Linux 5.9; an unknown kernel is new)."""
        return self.release is None or self.release >= _FIRST_WITH_ZSTD


def read_kernel(path: Path) -> Kernel:
    """Look at the header of the kernel in `path`; any other file is a kernel without facts."""
    with path.open("rb") as stream:
        head = stream.read(_HEADER_END)
        if len(head) < _HEADER_END or head[0x202:0x206] != b"HdrS":
            return Kernel()
        return Kernel(_version(stream, head), _payload(head))


def _version(stream: BinaryIO, head: bytes) -> str:
    at = int.from_bytes(head[0x20E:0x210], "little")
    if at == 0:
        return ""
    stream.seek(at + _SECTOR)
    text = stream.read(_VERSION_LIMIT).partition(b"\0")[0].decode("ascii", "replace")
    return text.split(" ")[0]


def _payload(head: bytes) -> tuple[int, int] | None:
    protocol = int.from_bytes(head[0x206:0x208], "little")
    if protocol < 0x208:
        return None
    setup = head[0x1F1] or 4
    offset = int.from_bytes(head[0x248:0x24C], "little")
    length = int.from_bytes(head[0x24C:0x250], "little")
    return (setup + 1) * _SECTOR + offset, length


def decompress(path: Path, target: IO[bytes]) -> None:
    """Write the uncompressed kernel of `path` (a bzImage, or a gzip file) to `target`.

    Raises:
        KernelError: it is not compressed, or in a way that is not known.
        DamagedStreamError: what is compressed is damaged.
    """
    with path.open("rb") as stream:
        payload = stream.read(len(_GZIP_MAGIC))
        if payload != _GZIP_MAGIC:
            where = read_kernel(path).payload
            if where is None:
                raise KernelError(
                    f"{path.name} is not a compressed kernel", hint="leave out --decompress-kernel"
                )
            stream.seek(where[0])
            payload = stream.read(min(where[1], _PAYLOAD_LIMIT))
        else:
            payload += stream.read(_PAYLOAD_LIMIT)
    method = compression.detect(payload[:6])
    if method is Compression.NONE:
        raise KernelError(
            f"{path.name} is compressed in a way that is not known",
            hint="gzip, zstd, xz and bzip2 are; leave out --decompress-kernel",
        )
    if method is not Compression.GZIP:
        payload = payload[:-_SIZE_BYTES]
    target.writelines(compression.decompress(io.BytesIO(payload), what=path.name))
