import io
import json
import tarfile

import pytest

from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout import Cache
from sampan.oci.model import Descriptor, ImageConfig, Manifest, Platform
from sampan.oci.reference import Reference


def _layer(name, content):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path):
    """A cache with the image `hello:1` of one layer with the file `greeting`."""
    cache = Cache(tmp_path / "cache" / "sampan")
    host = Platform.host()

    def put(media_type, data):
        return Descriptor(media_type, cache.put_blob(data), len(data))

    layer = _layer("greeting", b"hello\n")
    config = ImageConfig(architecture=host.architecture, os="linux")
    document = json.loads(model.encode(config))
    document["rootfs"] = {"type": "layers", "diff_ids": [str(Digest.of(layer))]}
    manifest = Manifest(
        config=put(model.OCI_CONFIG, json.dumps(document).encode()),
        layers=(put(model.OCI_LAYER, layer),),
    )
    descriptor = put(model.OCI_MANIFEST, model.encode(manifest))
    cache.tag(Reference.parse("hello:1"), descriptor)
    return cache


def test_ls(sampan, cache):
    said = sampan("cache", "ls")
    assert (said.status, said.err) == (0, "")
    assert said.out.splitlines()[1].startswith("hello:1 ")
    [row] = [json.loads(line) for line in sampan("cache", "ls", "-json").out.splitlines()]
    assert row["name"] == "docker.io/library/hello:1"
    assert row["digest"].startswith("sha256:")
    assert row["size"] > 0


def test_ls_of_an_empty_cache(sampan):
    assert sampan("cache", "ls").out == "NAME  SIZE  DIGEST\n"
    assert sampan("cache", "ls", "--json").out == ""


def test_cache_of_ones_own(sampan, cache, tmp_path):
    assert "hello" not in sampan("cache", "ls", "-cache", tmp_path / "other").out
    assert (tmp_path / "other" / "oci-layout").is_file()


def test_rm_takes_short_names(sampan, cache):
    said = sampan("cache", "rm", "hello:1")
    assert said.status == 0
    assert said.out.startswith("freed ")
    assert cache.entries() == []


def test_rm_of_what_is_not_there(sampan, cache):
    said = sampan("cache", "rm", "nothing")
    assert said.status == 1
    assert "nothing" in said.err


def test_clean(sampan, cache):
    (cache.root / "steps").mkdir()
    (cache.root / "steps" / "a").write_bytes(b"x" * 1000)
    assert sampan("cache", "clean", "--unused").status == 0
    assert len(cache.entries()) == 1
    assert (cache.root / "steps").exists()
    said = sampan("cache", "clean", "--json")
    assert json.loads(said.out)["freed"] > 1000
    assert cache.entries() == []
    assert not (cache.root / "steps").exists()


@pytest.mark.parametrize("form", ["oci", "docker"])
def test_export_and_import(sampan, cache, tmp_path, form):
    said = sampan("cache", "export", "-format", form, "-outfile", "hello.tar", "hello:1")
    assert (said.status, said.err) == (0, "")
    other = tmp_path / "other"
    said = sampan("cache", "import", "hello.tar", "--cache", other)
    assert said.out == "hello:1\n"
    assert [entry.reference.familiar for entry in Cache(other).entries()] == ["hello:1"]


def test_export_files(sampan, cache, tmp_path):
    assert sampan("cache", "export", "-format=filesystem", "-outfile=x.tar", "hello:1").status == 0
    with tarfile.open(tmp_path / "x.tar") as tar:
        assert "greeting" in [name.rstrip("/") for name in tar.getnames()]


def test_export_of_what_is_not_there_leaves_nothing(sampan, cache, tmp_path):
    before = set(tmp_path.iterdir())
    said = sampan("cache", "export", "--outfile", "x.tar", "nothing")
    assert said.status == 1
    assert set(tmp_path.iterdir()) == before


def test_import_of_nonsense(sampan, tmp_path):
    (tmp_path / "x.tar").write_bytes(b"nonsense" * 1000)
    said = sampan("cache", "import", "x.tar")
    assert said.status == 1
    assert sampan("cache", "import", "no.tar").err.startswith("sampan: no.tar: No such file")


def test_remote_name_is_for_one_image(sampan):
    said = sampan("cache", "push", "--remote-name", "a", "b", "c")
    assert said.status == 2


def test_platforms_that_are_none(sampan):
    said = sampan("cache", "pull", "--platform", "a/b/c/d", "hello")
    assert said.status in (1, 2)
    assert "a/b/c/d" in said.err


def test_names_that_are_none(sampan):
    assert sampan("cache", "pull", "Not A Name").status == 2
