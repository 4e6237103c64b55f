from pathlib import Path

import pytest

from sampan import spec as specs
from sampan.base.entry import Kind
from sampan.errors import DocumentError
from sampan.image.files import place_files
from sampan.image.overlay import Draft
from sampan.image.scene import Scene
from sampan.image.step import HostFile, Supplies


@pytest.fixture
def scene(ingredient):
    made = Scene()
    root = {"etc/": None, "lib": "-> usr/lib", "usr/": None, "usr/lib/": None}
    made.root.append(Draft("init[0]", ingredient("base:1", root), ""))
    made.settle_root()
    return made


def place(scene, files, supplies=None):
    spec = specs.load([specs.Source.text(f"files: {files}\nservices: []", "t")])
    place_files(scene, spec, supplies or Supplies(), ids={"svc": 105})
    return {name: made.entry for name, made in scene.made.items()}


def test_modes_by_default(scene):
    made = place(
        scene,
        "[{path: f, contents: x}, {path: d, directory: true}, {path: l, symlink: /f}]",
    )
    assert [(one.kind, one.mode) for one in made.values()] == [
        (Kind.FILE, 0o600), (Kind.DIRECTORY, 0o700), (Kind.SYMLINK, 0o600),
    ]  # fmt: skip
    assert made["l"].target == "/f"
    assert made["f"].size == 1


def test_missing_folders_are_made_and_others_left_alone(scene):
    made = place(scene, "[{path: /etc/a/b, contents: x, mode: '0640', uid: 5, gid: 6}]")
    assert (made["etc/a"].mode, made["etc/a"].uid, made["etc/a"].gid) == (0o750, 5, 6)
    assert "etc" not in made
    assert not scene.root[0].become


def test_a_folder_that_is_there_changes_when_it_is_named(scene):
    assert place(scene, "[{path: etc, directory: true, mode: '0711'}]") == {}
    assert scene.root[0].become["etc"].mode == 0o711


def test_a_path_through_a_link_ends_up_where_it_leads(scene):
    assert list(place(scene, "[{path: lib/x, contents: x}]")) == ["usr/lib/x"]


def test_a_file_where_a_folder_is(scene):
    with pytest.raises(DocumentError) as caught:
        place(scene, "[{path: f, contents: x}, {path: usr/lib, contents: x}]")
    assert str(caught.value) == "files[1].path: usr/lib is a folder in base:1"


def test_sources_and_those_left_out(scene):
    files = "[{path: a, source: s}, {path: b, source: t, optional: true}]"
    source = HostFile(Path("s"), 3, b"")
    made = place(scene, files, Supplies(sources={0: source}))
    assert list(made) == ["a"]
    assert made["a"].size == 3
    assert scene.made["a"].content == source


@pytest.mark.parametrize(("kind", "start"), [("yaml", b"files:"), ("json", b"{")])
def test_metadata(scene, kind, start):
    place(scene, f"[{{path: m, metadata: {kind}}}]")
    assert scene.made["m"].content.startswith(start)
