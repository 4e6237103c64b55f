import gzip
import io
import json
import lzma

import pytest

from sampan.base.entry import Entry, Kind
from sampan.oci import model
from sampan.oci.archive import InvalidArchiveError, export_archive, import_archive
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.layout import Cache
from sampan.oci.limit import LimitError, Limits
from sampan.oci.model import Descriptor, ImageConfig, Platform, RootFs
from sampan.oci.reference import Reference
from sampan.oci.tar import InvalidTarError
from sampan.oci.tree import image_tree

REF = Reference.parse("test/image:1")
AMD64 = Platform("amd64")


@pytest.fixture
def other(tmp_path):
    """The cache to import into."""
    return Cache(tmp_path / "other")


@pytest.fixture
def archive(layer):
    """A tar of files by name; a value that is a text is a symbolic link."""

    def make(files: dict[str, bytes | str]) -> io.BytesIO:
        def entry(name, value):
            if isinstance(value, str):
                return Entry(name, Kind.SYMLINK, 0o777, target=value), b""
            return Entry(name, Kind.FILE, 0o644, size=len(value)), value

        return io.BytesIO(layer(entry(name, value) for name, value in files.items()))

    return make


@pytest.fixture
def oci_files(cache, put_manifest, layer, item):
    """The files of an image layout with one image, whose descriptor has those annotations."""

    def make(annotations, **fields) -> dict[str, bytes | str]:
        descriptor = put_manifest(cache, [layer([item("a", b"text")])])
        entry = json.loads(model.encode(descriptor)) | {"annotations": annotations} | fields
        blobs = {f"blobs/sha256/{d.hex}": cache.read_blob(d) for d in cache.blobs}
        return {
            "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
            **blobs,
        }

    return make


def old_docker(layer, item, *, tags=("test/image:1",), legacy=True) -> dict[str, bytes | str]:
    """What `docker save` wrote before it wrote image layouts."""
    lower, upper = layer([item("a", b"text")]), layer([item("b")])
    diff_ids = (Digest.of(lower), Digest.of(upper), Digest.of(lower))
    config = model.encode(
        ImageConfig(architecture="amd64", os="linux", rootfs=RootFs(diff_ids=diff_ids))
    )
    config_name = f"{Digest.of(config).hex}.json"
    saved = {"Config": config_name, "RepoTags": list(tags) if tags is not None else None,
             "Layers": ["1/layer.tar", "2/layer.tar", "3/layer.tar"]}  # fmt: skip
    return {
        "1/VERSION": b"1.0", "1/json": b"{}", "1/layer.tar": lower, "2/layer.tar": upper,
        "3/layer.tar": "../1/layer.tar", config_name: config, "repositories": b"{}",
        "manifest.json": json.dumps([saved]).encode(),
    }  # fmt: skip


@pytest.mark.parametrize(
    "annotations",
    [{model.CONTAINERD_NAME: "docker.io/test/image:1", model.REF_NAME: "1"},
     {model.REF_NAME: "docker.io/test/image:1"}, {model.REF_NAME: "test/image:1"}],
)  # fmt: skip
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
def test_an_image_layout(other, archive, oci_files, annotations, pack):
    packed = io.BytesIO(pack(archive(oci_files(annotations)).getvalue()))
    assert import_archive(other, packed) == [REF]
    image = other.image(REF, AMD64)
    assert [node.entry.name for node in image_tree(other, image).nodes] == ["a"]
    assert other.layer_index_path(image.layers[0].digest).exists()


def test_a_type_that_the_list_has_wrong_is_set_right(other, archive, oci_files):
    files = oci_files({model.REF_NAME: "test/image:1"}, mediaType=model.OCI_INDEX, size=1)
    import_archive(other, archive(files))
    found = other.find(REF)
    assert found is not None
    assert found.media_type == model.OCI_MANIFEST
    assert found.size == other.blobs.size(found.digest)


@pytest.mark.parametrize("annotations", [{}, {model.REF_NAME: "latest"}])
def test_an_image_without_name_needs_one(other, archive, oci_files, annotations):
    files = oci_files(annotations)
    with pytest.raises(InvalidArchiveError, match="does not name its image") as caught:
        import_archive(other, archive(files))
    assert "--name" in (caught.value.hint or "")
    assert other.entries() == []
    name = Reference.parse("mine:2")
    assert import_archive(other, archive(files), name=name) == [name]
    assert other.image(name, AMD64).reference == name


def test_new_docker_saves_have_both_lists(other, archive, oci_files):
    files = oci_files({})
    config = next(
        json.loads(data)["config"]["digest"] for name, data in files.items()
        if name != "index.json" and isinstance(data, bytes) and b'"layers":[' in data
    )  # fmt: skip
    saved = {
        "Config": f"blobs/sha256/{config[7:]}",
        "RepoTags": ["test/image:1", "x:2"],
        "Layers": [],
    }
    files["manifest.json"] = json.dumps([saved]).encode()
    assert import_archive(other, archive(files)) == [REF, Reference.parse("x:2")]


def test_an_old_docker_save(other, archive, layer, item):
    files = old_docker(layer, item, tags=("test/image:1", "test/image:2"))
    assert import_archive(other, archive(files)) == [REF, Reference.parse("test/image:2")]
    image = other.image(REF, AMD64)
    assert [node.entry.name for node in image_tree(other, image).nodes] == ["b", "a"]
    assert image.layers[0].media_type == model.OCI_LAYER
    assert image.layers[0].digest == image.layers[2].digest


def test_an_old_docker_save_without_name(other, archive, layer, item):
    files = old_docker(layer, item, tags=None)
    with pytest.raises(InvalidArchiveError, match="does not name"):
        import_archive(other, archive(files))
    assert import_archive(other, archive(files), name=REF) == [REF]


def test_a_pipe_and_a_path_are_read(other, tmp_path, archive, layer, item):
    data = archive(old_docker(layer, item)).getvalue()
    (tmp_path / "saved.tar").write_bytes(data)
    assert import_archive(other, tmp_path / "saved.tar") == [REF]

    class Pipe(io.BytesIO):
        def seekable(self):
            return False

        def seek(self, *_):
            raise io.UnsupportedOperation

    assert import_archive(other, Pipe(data)) == [REF]


def change(files, name, value):
    (found,) = [key for key in files if key.endswith(name)]
    return (
        files | {found: value}
        if value is not None
        else {k: v for k, v in files.items() if k != found}
    )


@pytest.mark.parametrize(
    ("name", "value", "error", "said"),
    [
        ("manifest.json", None, InvalidArchiveError, "older than 1.10"),
        ("manifest.json", b"[]", InvalidArchiveError, "empty list"),
        ("manifest.json", b"{", model.InvalidDocumentError, "manifest.json of archive: it is not JSON"),
        ("manifest.json", bytes(5 << 20), LimitError, "manifest.json has 5242880 bytes"),
        ("1/layer.tar", None, InvalidArchiveError, "it lists '1/layer.tar' but does not contain it"),
        ("3/layer.tar", "../3/layer.tar", InvalidArchiveError, "does not contain"),
        ("3/layer.tar", "../../../etc/passwd", InvalidArchiveError, "does not contain"),
        ("2/layer.tar", b"no tar" * 99, InvalidTarError, "layer sha256"),
        ("2/layer.tar", bytes(1024), DigestMismatchError, "uncompressed, is damaged"),
        ("2/layer.tar", lzma.compress(b""), InvalidArchiveError, "compressed with xz"),
    ],
)  # fmt: skip
def test_bad_docker_saves_are_refused_and_nothing_is_named(
    other, archive, layer, item, name, value, error, said
):
    with pytest.raises(error) as caught:
        import_archive(other, archive(change(old_docker(layer, item), name, value)))
    assert said in str(caught.value)
    assert other.entries() == []


def test_a_config_that_is_not_what_its_name_says(other, archive, layer, item):
    files = old_docker(layer, item)
    (config,) = [name for name in files if name.endswith(".json") and len(name) == 69]
    with pytest.raises(DigestMismatchError):
        import_archive(other, archive(files | {config: b"{}"}))


def test_a_config_with_other_layers_than_the_list(other, archive, layer, item):
    files = old_docker(layer, item)
    saved = json.loads(files["manifest.json"])
    saved[0]["Layers"].pop()
    files["manifest.json"] = json.dumps(saved).encode()
    with pytest.raises(InvalidArchiveError, match="its config names 3 layers, its manifest 2"):
        import_archive(other, archive(files))


def test_bad_layouts_are_refused(other, archive, oci_files):
    files = oci_files({model.REF_NAME: "test/image:1"})
    blob = next(name for name in files if name.startswith("blobs/"))
    with pytest.raises(DigestMismatchError, match="a blob is damaged"):
        import_archive(other, archive(files | {blob: b"other"}))
    only_index = {"index.json": files["index.json"]}
    with pytest.raises(InvalidArchiveError, match="does not contain it"):
        import_archive(other, archive(only_index))
    with pytest.raises(InvalidArchiveError, match=r"holds no image: it has neither index\.json"):
        import_archive(other, archive({"etc/passwd": b""}))
    with pytest.raises(LimitError, match="archive"):
        import_archive(other, archive(files), limits=Limits(entries=1))


def test_several_images_keep_their_own_names(cache, other, archive, put_manifest, layer, item):
    descriptors = [put_manifest(cache, [layer([item(name)])]) for name in ("a", "b")]
    listed = [
        json.loads(model.encode(d)) | {"annotations": {model.REF_NAME: f"test/{n}:1"}}
        for n, d in enumerate(descriptors)
    ]
    files = {f"blobs/sha256/{d.hex}": cache.read_blob(d) for d in cache.blobs}
    files["index.json"] = json.dumps({"schemaVersion": 2, "manifests": listed}).encode()
    assert [str(ref) for ref in import_archive(other, archive(files))] == [
        "docker.io/test/0:1", "docker.io/test/1:1",
    ]  # fmt: skip
    with pytest.raises(InvalidArchiveError, match="has 2 images, but one name was given"):
        import_archive(other, archive(files), name=REF)


def test_what_is_exported_is_imported_under_its_name(cache, other, put_image, layer, item):
    image = put_image([layer([item("a", b"text")])])
    for format_ in ("oci", "docker"):
        stream = io.BytesIO()
        export_archive(cache, REF, stream, format=format_, platform=AMD64)
        stream.seek(0)
        assert import_archive(other, stream) == [REF]
        assert image_tree(other, other.image(REF, AMD64)) == image_tree(cache, image)
        other.remove(REF)


def test_an_artifact_without_tree_is_imported(other, archive, cache):
    config = Descriptor("application/x.config", cache.put_blob(b"{}"), 2)
    chart = Descriptor("application/x.chart", cache.put_blob(b"chart"), 5)
    data = model.encode(model.Manifest(config=config, layers=(chart,)))
    top = Descriptor(
        model.OCI_MANIFEST, cache.put_blob(data), len(data),
        annotations={model.REF_NAME: "test/image:1"},
    )  # fmt: skip
    files = {f"blobs/sha256/{d.hex}": cache.read_blob(d) for d in cache.blobs}
    files["index.json"] = model.encode(model.Index(manifests=(top,)))
    assert import_archive(other, archive(files)) == [REF]
