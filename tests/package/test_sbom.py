import json

from sampan.oci.digest import Digest
from sampan.package import sbom
from sampan.package.composer import Installed

NGINX = Installed(
    name="nginx-light",
    version="1:1.26~x+b1",
    architecture="amd64",
    source="nginx",
    supplier="Debian Nginx <n@x.test>",
    homepage="http://h.test",
    sha256="ab" * 32,
)
LIBC = Installed("libc6", "2.41", "amd64", "libc6", "", "", "cd" * 32)
DIGEST = Digest.of(b"manifest")


def statement(*packages, name="sampan/nginx:1"):
    return sbom.statement(name, DIGEST, packages, suite="trixie", epoch_s=86400)


def test_the_statement_is_about_the_manifest():
    found = json.loads(statement(NGINX))
    assert found["predicateType"] == "https://spdx.dev/Document"
    assert found["subject"] == [{"name": "sampan/nginx:1", "digest": {"sha256": DIGEST.hex}}]


def test_the_document_is_spdx():
    document = json.loads(statement(NGINX, LIBC))["predicate"]
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "1970-01-02T00:00:00Z"
    image, nginx, libc = document["packages"]
    assert image["primaryPackagePurpose"] == "CONTAINER"
    assert nginx["versionInfo"] == "1:1.26~x+b1"
    assert nginx["supplier"] == "Organization: Debian Nginx (n@x.test)"
    assert nginx["checksums"] == [{"algorithm": "SHA256", "checksumValue": "ab" * 32}]
    assert nginx["externalRefs"][0]["referenceLocator"] == (
        "pkg:deb/debian/nginx-light@1%3A1.26~x%2Bb1?arch=amd64&distro=trixie&upstream=nginx"
    )
    assert libc["supplier"] == "NOASSERTION"
    assert "homepage" not in libc
    related = {(r["spdxElementId"], r["relatedSpdxElement"]) for r in document["relationships"]}
    assert ("SPDXRef-Image", nginx["SPDXID"]) in related
    assert ("SPDXRef-DOCUMENT", "SPDXRef-Image") in related


def test_it_is_reproducible_and_its_namespace_tells_documents_apart():
    def namespace(data):
        return json.loads(data)["predicate"]["documentNamespace"]

    assert statement(NGINX) == statement(NGINX)
    spaces = {namespace(statement(NGINX)), namespace(statement(LIBC)), namespace(statement())}
    assert len(spaces) == 3
