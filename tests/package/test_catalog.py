import pytest

from sampan.oci.reference import Reference
from sampan.package import catalog


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    for name in ("nginx", "init", "unfinished"):
        (tmp_path / name).mkdir()
    for name in ("nginx", "init"):
        (tmp_path / name / "build.yml").write_text(f"image: {name}\n")
    monkeypatch.setattr(catalog, "_root", lambda: tmp_path)
    return tmp_path


def test_names(shipped):
    assert catalog.names() == ["init", "nginx"]


@pytest.mark.parametrize("name", ["sampan/nginx", "sampan/nginx:1.2", "docker.io/sampan/nginx"])
def test_any_tag_means_the_package(shipped, name):
    assert catalog.find(name) == shipped / "nginx"
    assert catalog.find(Reference.parse(name)) == shipped / "nginx"


@pytest.mark.parametrize(
    "name",
    [
        "nginx",
        "other/nginx",
        "sampan/unfinished",
        "sampan/none",
        "ghcr.test/sampan/nginx",
        "sampan/nginx@sha256:" + "0" * 64,
        "sampan/nginx/x",
    ],
)
def test_other_names_do_not(shipped, name):
    assert catalog.find(name) is None


def test_contains(shipped, tmp_path):
    assert catalog.contains(shipped / "nginx")
    assert not catalog.contains(tmp_path.parent)


def test_the_shipped_packages_are_where_they_should_be():
    assert "init" in catalog.names()
