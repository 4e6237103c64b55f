"""Sending one blob: mounted from a neighbour, in one request, or in resumable chunks.

Small blobs go in one PUT; larger ones in chunks, so that a broken connection costs one chunk.
A registry that does not take chunks gets the blob in one piece. (OCI distribution
specification 1.1, "Pushing blobs".)
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO
from urllib.parse import urlencode

from sampan.base.progress import Task
from sampan.oci.model import Descriptor
from sampan.oci.registry.fault import (
    AccessError,
    BrokenTransferError,
    NotFoundError,
    RegistryError,
)
from sampan.oci.registry.gauge import Gauge
from sampan.oci.registry.patience import Patience, patiently
from sampan.oci.registry.repository import Repository, scope
from sampan.oci.registry.session import Call
from sampan.oci.registry.transport import Answer, Body

CHUNK = 32 << 20  # bytes
_MAX_CHUNK = 1 << 30  # a registry that wants more at a time gets the blob whole
_READ = 1 << 18
_BINARY = ("Content-Type", "application/octet-stream")
_RANGE = re.compile(r"(?:bytes=)?0-(\d{1,19})")


class Upload:
    """Blob `descriptor` on its way to `repository`; `open_blob` gives it anew at each call."""

    def __init__(
        self,
        repository: Repository,
        descriptor: Descriptor,
        open_blob: Callable[[], BinaryIO],
        task: Task,
        *,
        chunk: int = CHUNK,
    ) -> None:
        self._repository = repository
        self._descriptor = descriptor
        self._open = open_blob
        self._gauge = Gauge(task)
        self._chunk = chunk
        self._what = f"{repository.name}@{descriptor.digest}"

    def send(self, neighbour: str | None = None) -> bool:
        """Send the blob; ask first whether the registry can take it from repository `neighbour`.

        Returns whether bytes had to be sent.

        Raises:
            RegistryError: the registry does not take it.
        """
        return patiently(lambda: self._send(neighbour), self._repository.session.sleep)

    def _send(self, neighbour: str | None) -> bool:
        answer = self._begin(neighbour)
        if answer.status == 201:  # mounted
            self._gauge.reached(self._descriptor.size)
            return False
        chunk = max(self._chunk, _least_chunk(answer))
        location = self._location(answer)
        if self._descriptor.size <= chunk or chunk > _MAX_CHUNK:
            self._send_whole(location)
            return True
        try:
            location = self._send_chunks(location, chunk)
        except _NoChunksError:
            self._send_whole(self._location(self._begin(None)))
        else:
            self._finish(location, None)
        return True

    def _begin(self, neighbour: str | None) -> Answer:
        path = self._repository.path("blobs", "uploads/")
        scopes = self._repository.scopes
        if neighbour is not None:
            query = urlencode([("mount", self._descriptor.digest), ("from", neighbour)])
            call = Call(
                what=self._what, method="POST", path=f"{path}?{query}",
                scopes=(*scopes, scope(neighbour)), body=Body.of(b""),
            )  # fmt: skip
            try:
                return self._ask(call)
            except RegistryError as error:
                if error.transient:
                    raise
                # we may not read the neighbour, or it is not there: then send it ourselves
        return self._ask(
            Call(what=self._what, method="POST", path=path, scopes=scopes, body=Body.of(b""))
        )

    def _send_whole(self, location: str) -> None:
        size = self._descriptor.size
        self._finish(location, Body(size, lambda: self._bytes(0, size)))

    def _send_chunks(self, location: str, chunk: int) -> str:
        patience = Patience(self._repository.session.sleep)
        offset, size = 0, self._descriptor.size
        while offset < size:
            end = min(offset + chunk, size)
            try:
                answer = self._patch(location, offset, end)
            except AccessError:
                raise
            except RegistryError as error:
                if not error.transient and offset == 0:
                    raise _NoChunksError from error
                patience.bear(error)
                answer = self._status(location)
                end = 0
            reached = _reached(answer, end)
            if reached > size:
                raise RegistryError(f"{self._repository.registry} counts more bytes than were sent")
            if reached > offset:
                patience.renew()
            elif end:
                patience.bear(BrokenTransferError(self._repository.registry, "a chunk got lost"))
            offset = reached
            location = self._location(answer, location)
        return location

    def _patch(self, location: str, offset: int, end: int) -> Answer:
        headers = (_BINARY, ("Content-Range", f"{offset}-{end - 1}"))
        body = Body(end - offset, lambda: self._bytes(offset, end))
        return self._ask(
            Call(
                what=self._what, method="PATCH", path=location,
                scopes=self._repository.scopes, headers=headers, body=body,
            )
        )  # fmt: skip

    def _status(self, location: str) -> Answer:
        """How far the registry has got; an upload it has forgotten is to be begun again."""
        try:
            return self._ask(Call(what=self._what, path=location, scopes=self._repository.scopes))
        except NotFoundError as error:
            raise BrokenTransferError(
                self._repository.registry, "it has forgotten the upload"
            ) from error

    def _finish(self, location: str, body: Body | None) -> None:
        joint = "&" if "?" in location else "?"
        query = urlencode([("digest", self._descriptor.digest)])
        self._ask(
            Call(
                what=self._what, method="PUT", path=f"{location}{joint}{query}",
                scopes=self._repository.scopes, headers=(_BINARY,), body=body or Body.of(b""),
            )
        )  # fmt: skip

    def _ask(self, call: Call) -> Answer:
        return self._repository.session.ask_once(call)

    def _location(self, answer: Answer, otherwise: str = "") -> str:
        """Where to go on; `answer.url` is what a relative address is relative to."""
        location = answer.headers.get("Location") or otherwise
        if not location:
            raise RegistryError(f"{self._repository.registry} does not say where to send a blob")
        return self._repository.session.resolved(answer.url, location)

    def _bytes(self, start: int, end: int) -> Iterator[bytes]:
        with self._open() as stream:
            stream.seek(start)
            while start < end and (data := stream.read(min(_READ, end - start))):
                yield data
                start += len(data)
                self._gauge.reached(start)


class _NoChunksError(Exception):
    """The registry does not take chunks."""


def _least_chunk(answer: Answer) -> int:
    text = answer.headers.get("OCI-Chunk-Min-Length", "")
    return int(text[:19]) if text.isascii() and text.isdigit() else 0


def _reached(answer: Answer, otherwise: int) -> int:
    """How many bytes the registry has. `0-0` is what it says when it has none."""
    match = _RANGE.fullmatch(answer.headers.get("Range", "").strip())
    if match is None:
        return otherwise
    last = int(match[1])
    return last + 1 if last else 0
