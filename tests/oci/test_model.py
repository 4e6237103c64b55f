import json

import msgspec
import pytest

from sampan.errors import SampanError
from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.model import (
    Descriptor,
    ImageConfig,
    Index,
    InvalidDocumentError,
    Manifest,
    Platform,
    decode,
    decode_manifest,
    encode,
)

DIGEST = Digest.of(b"x")
LAYER = Descriptor(model.OCI_LAYER_GZIP, DIGEST, 1)
CONFIG = Descriptor(model.OCI_CONFIG, DIGEST, 1)


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("linux/amd64", Platform("amd64")),
        ("arm64", Platform("arm64")),
        ("linux/arm64/v8", Platform("arm64")),
        ("linux/aarch64", Platform("arm64")),
        ("linux/arm/v7", Platform("arm", variant="v7")),
        ("armhf", Platform("arm", variant="v7")),
        ("Linux/x86_64", Platform("amd64")),
        ("windows/amd64", Platform("amd64", "windows")),
    ],
)
def test_platform_spellings(text, platform):
    assert Platform.parse(text) == platform
    assert Platform.parse(str(platform)) == platform


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux/", "/amd64"])
def test_a_bad_platform_is_refused(text):
    with pytest.raises(SampanError, match="is not a platform"):
        Platform.parse(text)


def test_the_host_has_a_platform():
    assert Platform.host().os == "linux"


def test_a_platform_without_variant_accepts_any():
    assert Platform("arm").accepts(Platform("arm", variant="v6"))
    assert not Platform("arm", variant="v7").accepts(Platform("arm", variant="v6"))
    assert Platform("arm64", variant="v8").accepts(Platform("arm64"))
    assert not Platform("amd64").accepts(Platform("amd64", "windows"))


def test_documents_round_trip_and_keep_what_the_specification_requires():
    manifest = Manifest(config=CONFIG, layers=(LAYER,), annotations={"b": "1", "a": "2"})
    index = Index(manifests=(Descriptor(model.OCI_MANIFEST, DIGEST, 5, Platform("arm64")),))
    for document in (manifest, index):
        data = encode(document)
        assert decode_manifest(data, "it") == document
        assert encode(decode_manifest(data, "it")) == data
    shown = json.loads(encode(index))
    assert shown["schemaVersion"] == 2
    assert shown["mediaType"] == model.OCI_INDEX
    assert shown["manifests"][0] == {
        "mediaType": model.OCI_MANIFEST, "digest": str(DIGEST), "size": 5,
        "platform": {"architecture": "arm64", "os": "linux"},
    }  # fmt: skip


def test_config_tolerates_nulls_and_unknown_fields():
    data = json.dumps({
        "architecture": "arm", "os": "linux", "variant": "v7", "x-unknown": 1,
        "config": {"Entrypoint": None, "Cmd": ["sh"], "Labels": None, "Env": ["A=b"],
                   "WorkingDir": "/w", "ExposedPorts": {"80/tcp": {}}, "Healthcheck": {"Test": []}},
        "rootfs": {"type": "layers", "diff_ids": [str(DIGEST)]},
        "history": [{"created_by": "x", "empty_layer": True}],
    }).encode()  # fmt: skip
    config = decode(data, ImageConfig, "config")
    assert config.platform == Platform("arm", variant="v7")
    assert config.config.entrypoint == ()
    assert config.config.cmd == ("sh",)
    assert config.config.working_dir == "/w"
    assert list(config.config.exposed_ports) == ["80/tcp"]
    assert config.rootfs.diff_ids == (DIGEST,)
    assert config.history[0].empty_layer
    assert decode(encode(config), ImageConfig, "config") == config


def manifest_json(**changes) -> bytes:
    base = {"schemaVersion": 2, "config": json.loads(encode(CONFIG)), "layers": []}
    return json.dumps({k: v for k, v in (base | changes).items() if v is not ...}).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b'"\xff"', "it is not JSON"),
        (b"[]", "must be a JSON object"),
        (b"[" * 100_000, "nested too deep"),
        (b" " * (model.DOCUMENT_LIMIT + 1), "more than 4 MiB"),
        (b'{"schemaVersion": 1}', "schema 1"),
        (manifest_json(config=...), "config"),
        (manifest_json(manifests=[]), "a manifest and an index at once"),
        (manifest_json(mediaType=model.OCI_INDEX), "not what its type"),
        (manifest_json(layers=[{"mediaType": "x", "digest": "sha256:1", "size": 1}]), "digest"),
        (manifest_json(layers=[{"mediaType": "x", "digest": DIGEST, "size": -1}]), "below zero"),
        (manifest_json(layers=[{"mediaType": "x", "digest": 7, "size": 1}]), "expected a digest"),
    ],
)
def test_a_bad_manifest_is_refused(data, said):
    with pytest.raises(InvalidDocumentError, match="the manifest: ") as caught:
        decode_manifest(data, "the manifest")
    assert said in str(caught.value)


def test_encode_refuses_what_it_does_not_know():
    class Strange(msgspec.Struct):
        what: object

    with pytest.raises(TypeError, match="cannot write object"):
        encode(Strange(object()))
