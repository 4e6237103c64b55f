"""One list of contents (SPDX 2.3) for the system, from those of its images.

Pure. Unlike LinuxKit's it is the same for the same images: the time is given, and the
document's name space is made of what is in it. Elements that two images have in common are
there once; where two mean different things by one id, the later one's is renamed.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from sampan.errors import SampanError

_PREDICATES = ("https://spdx.dev/Document", "https://spdx.dev/Document/v2.3")
_DOCUMENT = "SPDXRef-DOCUMENT"
_ELEMENTS = ("packages", "files", "snippets")
_LICENSES = "hasExtractedLicensingInfos"
_RELATION_ENDS = ("spdxElementId", "relatedSpdxElement")

_Json = dict[str, Any]


def merge(statements: Iterable[tuple[str, bytes]], *, created_s: int) -> bytes | None:
    """The SPDX document of all `statements` (the image they are about, in-toto JSON).

    `created_s` is the time that stands in it, seconds since 1970. None if no statement holds
    SPDX.

    Raises:
        SampanError: a statement is damaged.
    """
    merger = _Merger()
    for image, statement in statements:
        predicate = _spdx(image, statement)
        if predicate is not None:
            merger.add(image, predicate)
    return merger.document(created_s) if merger.images else None


def _spdx(image: str, statement: bytes) -> _Json | None:
    try:
        document = msgspec.json.decode(statement)
    except msgspec.DecodeError as error:
        raise SampanError(f"{image}: its list of contents is damaged: {error}") from error
    if not isinstance(document, dict) or document.get("predicateType") not in _PREDICATES:
        return None
    predicate = document.get("predicate")
    if not isinstance(predicate, dict):
        raise SampanError(f"{image}: its list of contents is damaged: there is no predicate")
    return predicate


class _Merger:
    def __init__(self) -> None:
        self.images: list[str] = []
        self._elements: dict[str, dict[str, _Json]] = {kind: {} for kind in _ELEMENTS}
        self._ids: dict[str, bytes] = {_DOCUMENT: b""}
        self._licenses: dict[str, _Json] = {}
        self._relations: dict[bytes, _Json] = {}

    def add(self, image: str, spdx: Mapping[str, Any]) -> None:
        self.images.append(image)
        renamed: dict[str, str] = {}
        for kind in _ELEMENTS:
            for element in _objects(spdx.get(kind)):
                self._add_element(kind, element, image, renamed)
        for license_ in _objects(spdx.get(_LICENSES)):
            self._licenses.setdefault(str(license_.get("licenseId")), license_)
        for relation in _objects(spdx.get("relationships")):
            moved = {
                key: renamed.get(value, value) if key in _RELATION_ENDS else value
                for key, value in relation.items()
            }
            self._relations.setdefault(_packed(moved), moved)

    def _add_element(self, kind: str, element: _Json, image: str, renamed: dict[str, str]) -> None:
        name = str(element.get("SPDXID"))
        packed = _packed(element)
        if self._ids.setdefault(name, packed) != packed:
            suffix = hashlib.sha256(image.encode()).hexdigest()[:8]
            renamed[name] = name = f"{name}-{suffix}"
            element = element | {"SPDXID": name}
            self._ids[name] = _packed(element)
        self._elements[kind][name] = element

    def document(self, created_s: int) -> bytes:
        body: _Json = {
            kind: list(elements.values()) for kind, elements in self._elements.items() if elements
        }
        if self._licenses:
            body[_LICENSES] = list(self._licenses.values())
        body["relationships"] = list(self._relations.values())
        digest = hashlib.sha256(_packed([self.images, body])).digest()
        head: _Json = {
            "spdxVersion": "SPDX-2.3",
            "dataLicense": "CC0-1.0",
            "SPDXID": _DOCUMENT,
            "name": "sbom",
            "documentNamespace": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=5)}",
            "creationInfo": {
                "creators": ["Tool: sampan"],
                "created": datetime.fromtimestamp(created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            },
        }
        return msgspec.json.format(msgspec.json.encode(head | body), indent=2) + b"\n"


def _objects(value: object) -> list[_Json]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _packed(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")
