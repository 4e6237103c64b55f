"""Names of images: `nginx:alpine`, `docker.io/library/nginx:alpine`, `host:5000/a/b@sha256:…`.

Pure text. Follows the grammar of the distribution project (registry, repository, tag, digest)
and Docker's short names; it neither knows what is in the cache nor asks a registry.
"""

from __future__ import annotations

import re
from typing import Self

import msgspec

from sampan.errors import ExitCode, SampanError
from sampan.oci.digest import Digest, InvalidDigestError

DEFAULT_REGISTRY = "docker.io"
DEFAULT_TAG = "latest"
_OFFICIAL = "library/"
_LEGACY_REGISTRY = "index.docker.io"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_HOST = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]{{1,5}})?"
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_IS_HOST = re.compile(_HOST)
_IS_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_IS_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_IS_IMAGE_ID = re.compile("[a-f0-9]{64}")
_NAME_LIMIT = 255  # registry and repository together
_TEXT_LIMIT = 1024
_SHOWN = 100


class InvalidReferenceError(SampanError):
    """Text that should name an image does not."""

    exit_code = ExitCode.USAGE

    def __init__(self, text: str, why: str, *, hint: str | None = None) -> None:
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        super().__init__(f"{shown!r} is not an image name: {why}", hint=hint)


class Reference(msgspec.Struct, frozen=True, order=True):
    """An image name in its parts. Without `tag` and `digest` it names a repository."""

    registry: str
    repository: str
    tag: str | None = None
    digest: Digest | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """The image that `text` names; short names are completed as Docker does.

        `x` is `docker.io/library/x`, `a/b` is `docker.io/a/b` unless `a` looks like a host (has
        a `.` or `:`, or is `localhost`). No tag is added: see `with_default_tag`.

        Raises:
            InvalidReferenceError: with what is wrong and, where we can tell, what was meant.
        """
        if len(text) > _TEXT_LIMIT:
            raise InvalidReferenceError(text, f"it has more than {_TEXT_LIMIT} characters")
        name, digest = _split_digest(text)
        name, tag = _split_tag(text, name)
        if _IS_IMAGE_ID.fullmatch(name):
            raise InvalidReferenceError(
                text, "it is an image ID", hint=f"to name by content write NAME@sha256:{name}"
            )
        registry, repository = _split_registry(name)
        _check_name(text, registry, repository)
        return cls(registry, repository, tag, digest)

    @property
    def name(self) -> str:
        """Registry and repository, without tag and digest."""
        return f"{self.registry}/{self.repository}"

    @property
    def canonical(self) -> str:
        """The whole name, nothing left out and nothing added: what is written to disk."""
        return self.name + self._suffix

    @property
    def familiar(self) -> str:
        """The shortest text that parses to this reference: what people read."""
        short = self.repository.removeprefix(_OFFICIAL)
        if "/" in short:
            short = self.repository
        first, slash, _ = short.partition("/")
        ambiguous = bool(slash) and _looks_like_host(first)  # docker.io/my.org/x
        if self.registry != DEFAULT_REGISTRY or ambiguous or _IS_IMAGE_ID.fullmatch(short):
            short = self.name
        return short + self._suffix

    def with_default_tag(self) -> Reference:
        """This reference, with the tag `latest` if it has neither tag nor digest."""
        if self.tag is None and self.digest is None:
            return msgspec.structs.replace(self, tag=DEFAULT_TAG)
        return self

    @property
    def _suffix(self) -> str:
        tag = f":{self.tag}" if self.tag is not None else ""
        return tag + (f"@{self.digest}" if self.digest is not None else "")

    def __str__(self) -> str:
        return self.canonical


def _split_digest(text: str) -> tuple[str, Digest | None]:
    name, at, digest = text.partition("@")
    if not at:
        return name, None
    try:
        return name, Digest.parse(digest)
    except InvalidDigestError as error:
        raise InvalidReferenceError(text, error.message, hint=error.hint) from error


def _split_tag(text: str, name: str) -> tuple[str, str | None]:
    head, colon, tag = name.rpartition(":")
    if not colon or "/" in tag:  # no colon, or the one before a port
        return name, None
    if not _IS_TAG.fullmatch(tag):
        raise InvalidReferenceError(
            text,
            f"{tag[:_SHOWN]!r} is not a tag",
            hint="a tag has letters, digits, `_`, `.` and `-`, at most 128, and does not begin "
            "with `.` or `-`",
        )
    return head, tag


def _looks_like_host(component: str) -> bool:
    return "." in component or ":" in component or component == "localhost"


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    is_host = bool(slash) and _looks_like_host(first)
    registry, repository = (first, rest) if is_host else (DEFAULT_REGISTRY, name)
    if registry == _LEGACY_REGISTRY:
        registry = DEFAULT_REGISTRY
    if registry == DEFAULT_REGISTRY and "/" not in repository:
        repository = _OFFICIAL + repository
    return registry, repository


def _check_name(text: str, registry: str, repository: str) -> None:
    if not text:
        raise InvalidReferenceError(text, "it is empty")
    if "://" in text:
        raise InvalidReferenceError(
            text, "it is a URL", hint=f"leave out the {text.partition('://')[0]}://"
        )
    if not _IS_HOST.fullmatch(registry):
        raise InvalidReferenceError(text, f"{registry!r} is not a registry's host name")
    if not _IS_REPOSITORY.fullmatch(repository):
        lower = text.lower()
        hint = "it is made of lower-case letters, digits and single `.`, `_`, `-` between them"
        if _IS_REPOSITORY.fullmatch(repository.lower()):
            hint = f"repositories are lower case: did you mean {lower!r}?"
        raise InvalidReferenceError(
            text, f"{repository.removeprefix(_OFFICIAL)!r} is not a repository", hint=hint
        )
    if len(registry) + len(repository) + 1 > _NAME_LIMIT:
        raise InvalidReferenceError(text, f"the name has more than {_NAME_LIMIT} characters")
