import json

import pytest

from sampan.image.step import HostFile
from sampan.image.volume import image_layout
from sampan.oci.layout import ImageNotFoundError
from sampan.oci.model import Platform
from sampan.oci.reference import Reference
from sampan.spec.model import Volume


@pytest.fixture
def image(cache, add_image):
    add_image("a:1", {"app": b"x"})
    return cache.image(Reference.parse("a:1"), Platform("amd64"))


def test_an_image_layout_that_is_whole(cache, image):
    made = image_layout(cache, image, Volume(name="v", image="a:1", format="oci"))
    files = {one.entry.name.removeprefix("containers/volumes/v/lower/"): one for one in made}
    assert list(files)[:4] == ["blobs", "blobs/sha256", "oci-layout", "index.json"]
    index = json.loads(files["index.json"].content)  # type: ignore[arg-type]
    assert index["manifests"][0]["digest"] == str(image.digest)
    blobs = {
        one.entry.name.rpartition("/")[2]: one for one in made if "blobs/sha256/" in one.entry.name
    }
    assert blobs.keys() == {
        image.digest.hex, image.manifest.config.digest.hex, image.layers[0].digest.hex,
    }  # fmt: skip
    for name, blob in blobs.items():
        assert isinstance(blob.content, HostFile)
        assert blob.content.path.stat().st_size == blob.entry.size
        assert blob.content.digest.hex() == name
    assert {one.entry.mtime_ns for one in made} == {0}


def test_a_platform_that_is_not_there(cache, image):
    volume = Volume(name="v", image="a:1", format="oci", platforms=("linux/arm64",))
    with pytest.raises(ImageNotFoundError, match="arm64"):
        image_layout(cache, image, volume)
