import json
import tarfile

import pytest

from sampan.errors import UnsupportedError
from sampan.oci.layout import Cache, ImageNotFoundError
from sampan.oci.model import Platform
from sampan.package import build, dependency
from sampan.package.dependency import DependencyError
from sampan.package.recipe import DockerImages

AMD64 = Platform("amd64")


@pytest.fixture
def cache(tmp_path):
    return Cache(tmp_path / "cache")


@pytest.fixture
def name(cache, package):
    """The name, with its digest, of an image in the cache."""
    folder = package("image: dep\ndebian: {files: [{path: /x, contents: y}]}\n")
    reference = build.build(folder, cache, AMD64)
    return f"{reference.name}@{cache.find(reference).digest}"


def save(cache, context, **wanted):
    context.mkdir(exist_ok=True)
    dependency.save_images(DockerImages(**wanted), context, cache, AMD64)


def test_one_archive(cache, name, tmp_path):
    save(cache, tmp_path / "c", list=(name,), target="images/one.tar")
    with tarfile.open(tmp_path / "c/images/one.tar") as archive:
        manifest = archive.extractfile("manifest.json")
        assert manifest is not None
        assert len(json.load(manifest)) == 1


def test_a_folder_of_archives(cache, name, tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "list").write_text(f"# those\n\n{name}\n")
    save(cache, tmp_path / "c", from_file="list", target_dir="images")
    [found] = (tmp_path / "c" / "images").iterdir()
    assert found.name.startswith("docker.io_linuxkit_dep@sha256_")


def test_nothing(cache, tmp_path):
    save(cache, tmp_path / "c")
    assert list((tmp_path / "c").iterdir()) == []


def test_faults(cache, name, tmp_path):
    context = tmp_path / "c"
    with pytest.raises(DependencyError, match="nginx has no digest"):
        save(cache, context, list=("nginx",), target="x")
    with pytest.raises(DependencyError, match="needs a target"):
        save(cache, context, list=(name,))
    with pytest.raises(DependencyError, match="leaves the package"):
        save(cache, context, list=(name,), target="../x")
    with pytest.raises(UnsupportedError, match="one archive holds one image"):
        save(cache, context, list=(name, name), target="x")
    with pytest.raises(ImageNotFoundError):
        save(cache, context, list=("nginx@sha256:" + "0" * 64,), target="x")
