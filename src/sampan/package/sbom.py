"""What is in an image, as an SPDX 2.3 document inside an in-toto statement.

Pure: the same packages give the same bytes, so no random identifiers and no present time.
(SPDX 2.3; in-toto Statement v0.1, as BuildKit attaches it to images.)
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from sampan import __version__
from sampan.oci.digest import Digest
from sampan.package.composer import Installed

PREDICATE_TYPE = "https://spdx.dev/Document"
STATEMENT_TYPE = "https://in-toto.io/Statement/v0.1"
_NAMESPACE = "https://spdx.org/spdxdocs"  # an identifier, never fetched
_NOT_ID = re.compile(r"[^A-Za-z0-9.-]")
_EMAIL = re.compile(r"(?P<name>.*?)\s*<(?P<email>[^>]*)>")


def timestamp(epoch_s: int) -> str:
    """Seconds since 1970 as SPDX and OCI write a time: `2026-07-12T17:12:00Z`."""
    moment = dt.datetime.fromtimestamp(epoch_s, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def statement(
    name: str, manifest: Digest, packages: Sequence[Installed], *, suite: str, epoch_s: int
) -> bytes:
    """The in-toto statement (JSON) that the image `manifest` holds `packages`."""
    content = {
        "_type": STATEMENT_TYPE,
        "predicateType": PREDICATE_TYPE,
        "subject": [{"name": name, "digest": {manifest.algorithm: manifest.hex}}],
        "predicate": _document(name, packages, suite=suite, epoch_s=epoch_s),
    }
    return msgspec.json.encode(content)


def _document(
    name: str, packages: Sequence[Installed], *, suite: str, epoch_s: int
) -> dict[str, Any]:
    root = "SPDXRef-Image"
    identity = hashlib.sha256(msgspec.json.encode((name, suite, packages))).hexdigest()[:32]
    listed = [_package(package, suite) for package in packages]
    image = {
        "SPDXID": root,
        "name": name,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "CONTAINER",
    }
    relations = [_relation("SPDXRef-DOCUMENT", "DESCRIBES", root)]
    relations += [_relation(root, "CONTAINS", str(package["SPDXID"])) for package in listed]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"{_NAMESPACE}/{quote(name, safe='')}-{identity}",
        "creationInfo": {
            "created": timestamp(epoch_s),
            "creators": [f"Tool: sampan-{__version__}"],
        },
        "packages": [image, *listed],
        "relationships": relations,
    }


def _package(package: Installed, suite: str) -> dict[str, Any]:
    locator = (
        f"pkg:deb/debian/{quote(package.name)}@{quote(package.version, safe='')}"
        f"?arch={package.architecture}&distro={suite}"
    )
    if package.source != package.name:
        locator += f"&upstream={quote(package.source)}"
    known = {
        "SPDXID": "SPDXRef-Package-" + _NOT_ID.sub("-", f"{package.name}-{package.architecture}"),
        "name": package.name,
        "versionInfo": package.version,
        "supplier": _supplier(package.supplier),
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "checksums": [{"algorithm": "SHA256", "checksumValue": package.sha256}],
        "sourceInfo": f"built from the Debian source package {package.source}",
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": locator,
            }
        ],
    }
    return known | ({"homepage": package.homepage} if package.homepage else {})


def _supplier(maintainer: str) -> str:
    match = _EMAIL.fullmatch(maintainer)
    if match is None:
        return f"Organization: {maintainer}" if maintainer else "NOASSERTION"
    return f"Organization: {match['name']} ({match['email']})"


def _relation(subject: str, kind: str, related: str) -> dict[str, str]:
    return {
        "spdxElementId": subject,
        "relationshipType": kind,
        "relatedSpdxElement": related,
    }
