import json

import pytest

from sampan.errors import SampanError
from sampan.image import sbom


def statement(packages, relationships=(), predicate_type="https://spdx.dev/Document", **more):
    return json.dumps(
        {
            "predicateType": predicate_type,
            "predicate": {"packages": packages, "relationships": list(relationships), **more},
        }
    ).encode()


def package(name, version="1"):
    return {"SPDXID": f"SPDXRef-{name}", "name": name, "versionInfo": version}


def relation(one, other):
    return {
        "spdxElementId": one, "relatedSpdxElement": f"SPDXRef-{other}",
        "relationshipType": "DESCRIBES",
    }  # fmt: skip


A = ("a", statement([package("x")], [relation("SPDXRef-DOCUMENT", "x")]))
B = ("b", statement([package("x"), package("y")], [relation("SPDXRef-DOCUMENT", "y")]))


def merged(*statements):
    return json.loads(sbom.merge(statements, created_s=1_492_533_000) or b"")


def test_all_images_in_one_document():
    document = merged(A, B)
    assert [one["name"] for one in document["packages"]] == ["x", "y"]
    assert len(document["relationships"]) == 2
    assert document["spdxVersion"] == "SPDX-2.3"
    assert document["creationInfo"]["created"] == "2017-04-18T16:30:00Z"
    assert document["documentNamespace"].startswith("urn:uuid:")


def test_the_same_for_the_same_and_else_another():
    assert sbom.merge([A, B], created_s=1) == sbom.merge([A, B], created_s=1)
    assert merged(A)["documentNamespace"] != merged(B)["documentNamespace"]


def test_an_id_with_two_meanings_is_renamed_for_the_second():
    other = ("c", statement([package("x", "2")], [relation("SPDXRef-DOCUMENT", "x")]))
    document = merged(A, other)
    ids = [one["SPDXID"] for one in document["packages"]]
    assert ids[0] == "SPDXRef-x"
    assert ids[1].startswith("SPDXRef-x-")
    assert [one["relatedSpdxElement"] for one in document["relationships"]] == ids


def test_files_and_licences():
    one = statement(
        [], files=[{"SPDXID": "SPDXRef-f"}], hasExtractedLicensingInfos=[{"licenseId": "L"}]
    )
    document = merged(("a", one), ("b", one))
    assert document["files"] == [{"SPDXID": "SPDXRef-f"}]
    assert document["hasExtractedLicensingInfos"] == [{"licenseId": "L"}]


def test_without_spdx_there_is_no_document():
    other = ("a", statement([], predicate_type="https://slsa.dev/provenance/v1"))
    assert sbom.merge([], created_s=0) is None
    assert sbom.merge([other], created_s=0) is None


@pytest.mark.parametrize(
    "bad", [b"{", b'{"predicateType": "https://spdx.dev/Document", "predicate": 1}']
)
def test_damaged_statements_name_their_image(bad):
    with pytest.raises(SampanError, match="img:1: its list of contents is damaged"):
        sbom.merge([("img:1", bad)], created_s=0)


def test_odd_parts_are_passed_over():
    odd = statement("no list", ["x"], files=[1, {"SPDXID": "SPDXRef-f"}])
    assert merged(("a", odd))["files"] == [{"SPDXID": "SPDXRef-f"}]
