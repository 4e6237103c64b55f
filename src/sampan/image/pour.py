"""Contents on their way into an output: from bytes, from a file of the host, from a layer."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import suppress

from sampan.errors import SampanError
from sampan.image.step import Content, HostFile
from sampan.oci.tree import Chunk

_CHUNK = 1 << 20


def chunks_of(content: Content) -> Iterator[Chunk]:
    """The bytes of `content`, as many as it says.

    Raises:
        SampanError: a file of the host is not what it was when the build began.
    """
    if isinstance(content, HostFile):
        yield from _read(content)
    elif content:
        yield content


def _read(file: HostFile) -> Iterator[Chunk]:
    remaining = file.size
    hasher = hashlib.sha256()
    with suppress(FileNotFoundError), file.path.open("rb") as stream:
        while remaining and (chunk := stream.read(min(remaining, _CHUNK))):
            remaining -= len(chunk)
            hasher.update(chunk)
            yield chunk
    if hasher.digest() != file.digest:
        raise SampanError(f"{file.path} changed while it was read", hint="build again")
