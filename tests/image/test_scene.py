import pytest

from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.image.overlay import Draft
from sampan.image.scene import Scene


@pytest.fixture
def scene(ingredient):
    made = Scene()
    root = {"etc/": None, "etc/passwd": b"", "lib": "-> usr/lib", "dev/": None}
    made.root.append(Draft("init[0]", ingredient("base:1", root), ""))
    made.settle_root()
    return made


def folder(name, mode=0o755):
    return Entry(name, Kind.DIRECTORY, mode)


def test_a_file_takes_a_name_over(scene):
    scene.file("etc/passwd", b"root")
    assert scene.made["etc/passwd"].content == b"root"
    assert scene.root[0].drop == {"etc/passwd"}


def test_a_folder_that_is_there_stays_and_changes(scene):
    scene.put(folder("etc", 0o700))
    assert scene.root[0].become["etc"].mode == 0o700
    assert not scene.made


def test_a_file_where_a_tree_has_a_folder_is_refused(scene):
    with pytest.raises(SampanError, match="etc is a folder in base:1"):
        scene.file("etc", b"")


def test_frame_folders_are_written_once(scene):
    scene.folder("dev/x")
    assert scene.root[0].drop == {"dev"}
    assert list(scene.frame) == ["dev", "dev/x"]
    scene.put(folder("dev/x", 0o700))
    assert scene.frame["dev/x"].entry.mode == 0o700


def test_resolve_follows_links_of_the_root_but_not_the_last(scene):
    assert scene.resolve("lib/modules/x") == "usr/lib/modules/x"
    assert scene.resolve("lib") == "lib"


def test_trees_below_their_prefix(scene, ingredient):
    tree = {"": folder("", 0o711), "app/": None, "app/x": b""}
    scene.tree(Draft("services[0]", ingredient("app:1", tree), "containers/services/a/lower"))
    assert scene.has("containers/services/a/lower")
    assert scene.has("containers/services/a/lower/app/x")
    assert not scene.has("containers/services/a/lower/nothing")
    assert "containers/services/a/lower" not in scene.frame
    assert "containers/services/a" in scene.frame
    scene.file("containers/services/a/lower/app/x", b"mine")
    assert scene.placed["containers/services/a/lower"].drop == {"app/x"}


def test_touch_up_adds_what_is_missing_only(scene):
    scene.touch_up("", resolver=True)
    assert {"dev/pts", "dev/shm", "proc", "sys", "etc/hosts", "etc/mtab", "etc/resolv.conf"} == (
        scene.made.keys()
    )
    assert not scene.root[0].become
    assert len(scene.made["etc/hosts"].content) == 160
    assert scene.made["etc/resolv.conf"].entry.target == "/run/resolvconf/resolv.conf"


def test_touch_up_of_a_container_has_an_empty_resolver(scene):
    scene.folder("containers/services/a/lower")
    scene.touch_up("containers/services/a/lower", resolver=False)
    made = scene.made["containers/services/a/lower/etc/resolv.conf"]
    assert made.content == b"\n# no resolv.conf configured\n"
