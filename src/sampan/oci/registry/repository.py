"""One repository of a registry: its manifests and blobs.

The calls of the OCI distribution specification 1.1, except sending blobs (`upload`). What
comes back is checked where its digest is known; nothing is kept here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sampan.oci import model
from sampan.oci.digest import Digest, DigestMismatchError, InvalidDigestError
from sampan.oci.model import DOCUMENT_LIMIT, Descriptor
from sampan.oci.registry import fault
from sampan.oci.registry.fault import RegistryError
from sampan.oci.registry.session import Call, Session
from sampan.oci.registry.transport import Body, Stream

_ACCEPT = ("Accept", ", ".join(sorted(model.INDEX_TYPES | model.MANIFEST_TYPES)))
_MISSING = frozenset({404})
_RANGE = re.compile(r"bytes (\d+)-\d+/(?:\d+|\*)")


class BlobStream:
    """A blob on its way. It begins at byte `offset`, whatever was asked for."""

    def __init__(self, stream: Stream, offset: int) -> None:
        self._stream = stream
        self.offset = offset

    def chunks(self) -> Iterator[bytes]:
        """The bytes from `offset` on, unchecked. Raises RegistryError: the connection broke."""
        return self._stream.chunks()


class Repository:
    """Repository `name` at the server of `session`. `pushing` asks for the right to write."""

    def __init__(self, session: Session, name: str, *, pushing: bool = False) -> None:
        self.session = session
        self.registry = session.name
        prefix = session.endpoint.prefix
        self.name = f"{prefix}/{name}" if prefix else name
        self.scopes = (scope(self.name, pushing=pushing),)

    def path(self, kind: str, name: str = "") -> str:
        """The path of one of its manifests, blobs or uploads."""
        return f"/v2/{self.name}/{kind}/{name}"

    def find_manifest(self, name: str) -> Digest | None:
        """The digest of manifest `name` (tag or digest) where the registry says it.

        None if there is no such manifest, or the registry leaves the digest out.
        """
        answer = self.session.ask(
            Call(
                what=self._shown(name), method="HEAD", path=self.path("manifests", name),
                scopes=self.scopes, headers=(_ACCEPT,), expected=_MISSING,
            )
        )  # fmt: skip
        said = answer.headers.get("Docker-Content-Digest")
        if answer.status in _MISSING or said is None:
            return None
        return self._digest(said)

    def manifest(self, name: str, expected: Descriptor | Digest | None = None) -> bytes:
        """The document of manifest or index `name` (tag or digest), checked against `expected`.

        Raises:
            NotFoundError, RegistryError: it cannot be had.
            DigestMismatchError: it is not what was expected.
        """
        what = self._shown(name)
        answer = self.session.ask(
            Call(
                what=what, path=self.path("manifests", name),
                scopes=self.scopes, headers=(_ACCEPT,),
            ),
            limit=DOCUMENT_LIMIT,
        )  # fmt: skip
        if expected is None:
            said = answer.headers.get("Docker-Content-Digest")
            expected = self._digest(said) if said else Digest.of(answer.body)
        digest = expected.digest if isinstance(expected, Descriptor) else expected
        hasher = digest.hasher()
        hasher.update(answer.body)
        if not digest.matches(hasher):
            found = f"{digest.algorithm}:{hasher.hexdigest()}"
            raise DigestMismatchError(f"{what} from {self.registry}", digest, found)
        return answer.body

    def put_manifest(self, name: str, document: bytes, media_type: str) -> None:
        """Give the registry a manifest or index under `name` (tag or digest).

        Raises:
            RegistryError: it does not take it, for instance because a blob is missing there.
        """
        what = self._shown(name)
        answer = self.session.ask(
            Call(
                what=what, method="PUT", path=self.path("manifests", name), scopes=self.scopes,
                headers=(("Content-Type", media_type),), body=Body.of(document),
            )
        )  # fmt: skip
        said = answer.headers.get("Docker-Content-Digest")
        ours = Digest.of(document)
        if said is not None and said.startswith("sha256:") and said != ours:
            raise DigestMismatchError(
                f"{what} as {self.registry} has it", ours, fault.printable(said)
            )

    def has_blob(self, digest: Digest) -> bool:
        """Whether the repository has the blob."""
        call = Call(
            what=self._shown(digest), method="HEAD", path=self.path("blobs", digest),
            scopes=self.scopes, expected=_MISSING,
        )  # fmt: skip
        return self.session.ask(call).status not in _MISSING

    @contextmanager
    def blob(self, digest: Digest, offset: int = 0) -> Iterator[BlobStream]:
        """The blob from byte `offset` on if the registry can, else from its beginning.

        One attempt: the caller counts what arrives and asks again for the rest.

        Raises:
            RegistryError: it cannot be had. Of a resumed download that does not fit any more
                (status 416) it is given from its beginning.
        """
        call = Call(
            what=self._shown(digest), path=self.path("blobs", digest), scopes=self.scopes,
            headers=(("Range", f"bytes={offset}-"),) if offset else (),
            expected=frozenset({416}) if offset else frozenset(),
        )  # fmt: skip
        with self.session.stream(call) as stream:
            if stream.status != 416:
                yield BlobStream(stream, self._offset(stream, offset))
                return
            stream.answer()
        with self.blob(digest) as whole:
            yield whole

    def _offset(self, stream: Stream, asked: int) -> int:
        if stream.status != 206:
            return 0
        match = _RANGE.fullmatch(stream.headers.get("Content-Range", ""))
        start = int(match[1][:19]) if match else -1
        if start != asked:
            raise RegistryError(f"{self.registry} sends another part of a blob than asked for")
        return start

    def _digest(self, said: str) -> Digest:
        try:
            return Digest.parse(said)
        except InvalidDigestError as error:
            raise RegistryError(f"{self.registry}: {error}") from error

    def _shown(self, name: str) -> str:
        joint = "@" if ":" in name else ":"
        return f"{self.name}{joint}{name}"


def scope(repository: str, *, pushing: bool = False) -> str:
    """The scope of a token for a repository."""
    return f"repository:{repository}:{'pull,push' if pushing else 'pull'}"
