from pathlib import Path

import pytest

from sampan import spec as specs
from sampan.base.entry import Entry, Kind
from sampan.image.container import place_containers, place_installed, place_volumes
from sampan.image.scene import Scene
from sampan.image.step import HostFile, Made, Supplies
from sampan.oci.model import ContainerConfig


def load(text):
    return specs.load([specs.Source.text(text, "t")])


@pytest.fixture
def supplies(ingredient):
    config = ContainerConfig(cmd=("/app",))
    return Supplies(images={"app": ingredient("app", {"app": b""}, config=config)})


def test_writable_and_read_only_containers(supplies):
    scene = Scene()
    place_containers(
        scene,
        load("onboot: [{name: w, image: app}]\nservices: [{name: r, image: app, readonly: true}]"),
        supplies,
    )
    assert {"containers/onboot/000-w/lower", "containers/onboot/000-w/tmp"} <= scene.frame.keys()
    assert "containers/services/r/tmp" not in scene.frame
    assert "containers/services/r/rootfs" in scene.frame
    runtime = scene.made["containers/services/r/runtime.json"].content
    assert b'"source": "/containers/onboot/000-w/lower"' in runtime


def test_a_read_only_first_copy_is_in_its_rootfs(supplies):
    scene = Scene()
    place_containers(scene, load("services: [{name: r, image: app, readonly: true}]"), supplies)
    assert list(scene.placed) == ["containers/services/r/rootfs"]


def test_volumes(supplies):
    scene = Scene()
    place_volumes(
        scene,
        load("volumes: [{name: a}, {name: b, image: app, readonly: true}]"),
        supplies,
    )
    assert "containers/volumes/a/tmp" in scene.frame
    assert "containers/volumes/b/tmp" not in scene.frame
    assert "containers/volumes/b/merged" in scene.frame
    assert list(scene.placed) == ["containers/volumes/b/lower"]


def test_a_volume_that_is_an_image_layout(supplies):
    scene = Scene()
    name = "containers/volumes/a/lower/oci-layout"
    blob = Made(Entry(name, Kind.FILE, 0o644, size=1), HostFile(Path("x"), 1, b""))
    laid_out = Supplies(volumes={"a": (blob,)})
    place_volumes(scene, load("volumes: [{name: a, image: app, format: oci}]"), laid_out)
    assert scene.made == {name: blob}


@pytest.mark.parametrize(
    ("lists", "content"), [((), None), ((b"a\n",), None), ((b"a\n", b"b\n"), b"a\n\n\nb\n\n\n")]
)
def test_package_lists_are_joined_when_there_are_several(lists, content):
    scene = Scene()
    place_installed(scene, Supplies(installed=lists))
    made = scene.made.get("lib/apk/db/installed")
    assert (made.content if made else None) == content
