"""The JSON documents of an image: descriptor, manifest, index, config.

Values and their codec, no I/O. Both the OCI and the Docker media types are understood. Unknown
fields are tolerated, as the specification asks, and `null` means "not given", as it does to
every tool that is written in Go. (OCI image specification 1.1.)
"""

from __future__ import annotations

import platform as host
from collections.abc import Callable
from typing import Any, Self, TypeVar

import msgspec

from sampan.errors import SampanError
from sampan.oci.digest import Digest, InvalidDigestError

DOCUMENT_LIMIT = 4 << 20  # bytes; what registries agree to take as a manifest

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_LAYER_GZIP = OCI_LAYER + "+gzip"
OCI_LAYER_ZSTD = OCI_LAYER + "+zstd"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
IN_TOTO = "application/vnd.in-toto+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

REF_NAME = "org.opencontainers.image.ref.name"
CONTAINERD_NAME = "io.containerd.image.name"
REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"
PREDICATE_TYPE = "in-toto.io/predicate-type"

_T = TypeVar("_T")
_ARCHITECTURES = {"x86_64": "amd64", "x86-64": "amd64", "aarch64": "arm64", "i386": "386",
                  "i686": "386", "armhf": "arm", "armv7l": "arm", "armel": "arm"}  # fmt: skip
_VARIANTS = {"armhf": "v7", "armv7l": "v7", "armel": "v6"}


class InvalidDocumentError(SampanError):
    """A manifest, index or image config is not what the specification says."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(
            f"{what}: {why}",
            hint="the image is damaged, or made by a tool with a fault: pull it again",
        )


def _always(value: _T) -> Callable[[], _T]:
    """A default that is written even though the struct omits defaults."""
    return lambda: value


class _Document(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """What the documents have in common."""


class Platform(msgspec.Struct, frozen=True, omit_defaults=True, order=True):
    """For which machines an image is: Go's names, such as `amd64` and `arm64`."""

    architecture: str
    os: str = msgspec.field(default_factory=_always("linux"))
    variant: str = ""
    os_version: str = msgspec.field(default="", name="os.version")

    @classmethod
    def parse(cls, text: str) -> Self:
        """`linux/arm64/v8`, `linux/amd64`, or only the architecture.

        Raises:
            SampanError: `text` has another form.
        """
        parts = text.split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        if len(parts) > 3 or not all(parts):
            raise SampanError(f"{text!r} is not a platform", hint="write it as linux/arm64")
        system, architecture, *variant = parts
        return cls(architecture, system, variant[0] if variant else "").normal()

    @classmethod
    def host(cls) -> Self:
        """This computer's architecture, with Linux: what runs here in a machine."""
        return cls(host.machine()).normal()

    def normal(self) -> Self:
        """The usual spelling: `x86_64` is `amd64`, and `arm64/v8` is `arm64`."""
        name = self.architecture.lower()
        architecture = _ARCHITECTURES.get(name, name)
        variant = self.variant or _VARIANTS.get(name, "")
        if (architecture, variant) in {("arm64", "v8"), ("amd64", "v1")}:
            variant = ""
        return msgspec.structs.replace(
            self, architecture=architecture, os=self.os.lower(), variant=variant
        )

    def accepts(self, other: Platform) -> bool:
        """Whether an image for `other` is meant when this platform is asked for.

        A request without variant takes any; a request for one takes only that one.
        """
        mine, theirs = self.normal(), other.normal()
        if (mine.architecture, mine.os) != (theirs.architecture, theirs.os):
            return False
        return mine.variant in {"", theirs.variant}

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


class Descriptor(_Document, frozen=True):
    """A pointer to a blob: its type, its digest, its size in bytes."""

    media_type: str
    digest: Digest
    size: int
    platform: Platform | None = None
    annotations: dict[str, str] = {}
    artifact_type: str = ""
    urls: tuple[str, ...] = ()


class Manifest(_Document, frozen=True, kw_only=True):
    """One image for one platform: its config and its layers, lowest first."""

    schema_version: int = msgspec.field(default_factory=_always(2))
    media_type: str = msgspec.field(default_factory=_always(OCI_MANIFEST))
    artifact_type: str = ""
    config: Descriptor
    layers: tuple[Descriptor, ...] = msgspec.field(default_factory=_always(()))
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class Index(_Document, frozen=True, kw_only=True):
    """A list of manifests, usually one for each platform, or of other indexes."""

    schema_version: int = msgspec.field(default_factory=_always(2))
    media_type: str = msgspec.field(default_factory=_always(OCI_INDEX))
    artifact_type: str = ""
    manifests: tuple[Descriptor, ...] = msgspec.field(default_factory=_always(()))
    subject: Descriptor | None = None
    annotations: dict[str, str] = {}


class ContainerConfig(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="pascal"
):
    """How a container of the image is run, unless somebody says otherwise."""

    user: str = ""
    exposed_ports: dict[str, Any] = {}
    env: tuple[str, ...] = ()
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    volumes: dict[str, Any] = {}
    working_dir: str = ""
    labels: dict[str, str] = {}
    stop_signal: str = ""


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """The layers again, as digests of the uncompressed archives, lowest first."""

    type: str = "layers"
    diff_ids: tuple[Digest, ...] = ()


class History(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What made one layer, or a step that made none (`empty_layer`)."""

    created: str = ""
    created_by: str = ""
    author: str = ""
    comment: str = ""
    empty_layer: bool = False


class ImageConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The config document of an image. `created` and `author` are as written there."""

    created: str = ""
    author: str = ""
    architecture: str = msgspec.field(default_factory=_always(""))
    os: str = msgspec.field(default_factory=_always(""))
    variant: str = ""
    config: ContainerConfig = ContainerConfig()
    rootfs: RootFs = msgspec.field(default_factory=RootFs)
    history: tuple[History, ...] = ()

    @property
    def platform(self) -> Platform:
        """The platform the config says; Linux when it says none."""
        return Platform(self.architecture, self.os or "linux", self.variant).normal()


def decode(data: bytes, kind: type[_T], what: str, *, limit: int = DOCUMENT_LIMIT) -> _T:
    """Read a document of type `kind` from JSON of at most `limit` bytes; `what` names it.

    Raises:
        InvalidDocumentError: it is too large, no JSON, or lacks what it must have.
    """
    return _convert(_json(data, what, limit), kind, what)


def decode_manifest(data: bytes, what: str) -> Manifest | Index:
    """Read a document that is a manifest or an index, whichever its fields say.

    A document that could be read as both is refused: two tools would see two images in it
    (CVE-2021-41190).

    Raises:
        InvalidDocumentError: it is neither, or both, or of Docker's first schema.
    """
    raw = _json(data, what, DOCUMENT_LIMIT)
    if not isinstance(raw, dict):
        raise InvalidDocumentError(what, "a manifest must be a JSON object")
    if raw.get("schemaVersion") == 1:
        raise InvalidDocumentError(what, "Docker's schema 1 (before 2016) is not supported")
    lists = "manifests" in raw
    if lists and ("layers" in raw or "config" in raw):
        raise InvalidDocumentError(what, "it is a manifest and an index at once")
    media_type = raw.get("mediaType")
    if media_type in (MANIFEST_TYPES if lists else INDEX_TYPES):
        raise InvalidDocumentError(what, f"its content is not what its type {media_type} says")
    kind: type[Manifest | Index] = Index if lists else Manifest
    return _convert(raw, kind, what)


def encode(document: msgspec.Struct) -> bytes:
    """The document as JSON; the same document gives the same bytes."""
    return msgspec.json.encode(document, enc_hook=_plain, order="deterministic")


def _json(data: bytes, what: str, limit: int) -> Any:  # noqa: ANN401  JSON may be anything until converted
    if len(data) > limit:
        raise InvalidDocumentError(what, f"it has more than {limit >> 20} MiB")
    try:
        return _without_nulls(msgspec.json.decode(data))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidDocumentError(what, f"it is not JSON ({error})") from error
    except RecursionError:
        raise InvalidDocumentError(what, "it is nested too deep") from None


def _convert(raw: object, kind: type[_T], what: str) -> _T:
    try:
        document = msgspec.convert(raw, kind, dec_hook=_rich)
    except (msgspec.ValidationError, InvalidDigestError) as error:
        raise InvalidDocumentError(what, str(error)) from error
    for descriptor in _descriptors(document):
        if descriptor.size < 0:
            raise InvalidDocumentError(what, f"{descriptor.digest} has a size below zero")
    return document


def _descriptors(document: object) -> tuple[Descriptor, ...]:
    match document:
        case Manifest():
            return (document.config, *document.layers)
        case Index():
            return document.manifests
        case _:
            return ()


def _without_nulls(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _rich(kind: type, value: object) -> object:
    if kind is Digest and isinstance(value, str):
        return Digest.parse(value)
    raise msgspec.ValidationError(f"expected a digest, got {type(value).__name__}")


def _plain(value: object) -> object:
    if isinstance(value, Digest):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")
