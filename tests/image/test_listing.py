from sampan.base.entry import Entry, Kind
from sampan.image.listing import file_key, list_step, nodes_of, placed_name
from sampan.image.step import TreeStep

LISTING = {
    "": Entry("", Kind.DIRECTORY, 0o711),
    "a/": None,
    "a/f": b"12345",
    "a/h": "= a/f",
    "a/i": "= a/f",
    "a/l": "-> f",
    "b": b"",
    "etc/hosts": b"",
}


def step(ingredient, **keys):
    return TreeStep(name="x", ingredient=ingredient("i", LISTING), **{"prefix": "p/q", **keys})


def names(entries):
    return [entry.name for entry in entries]


def test_everything_at_its_place(ingredient):
    found = list_step(step(ingredient))
    assert names(found.directories) == ["p/q", "p/q/a"]
    assert names(entry for entry, _ in found.files) == ["p/q/a/f", "p/q/b"]
    assert names(found.rest) == ["p/q/a/l", "p/q/a/h", "p/q/a/i"]
    assert [entry.target for entry in found.rest] == ["f", "p/q/a/f", "p/q/a/f"]
    assert found.directories[0].mode == 0o711


def test_when_the_target_is_dropped_the_first_link_stands_in(ingredient):
    found = list_step(step(ingredient, drop=frozenset({"a/f"})))
    assert names(entry for entry, _ in found.files) == ["p/q/a/h", "p/q/b"]
    assert found.files[0][0].size == 5
    [link] = [entry for entry in found.rest if entry.kind is Kind.HARDLINK]
    assert (link.name, link.target) == ("p/q/a/i", "p/q/a/h")


def test_a_folder_becomes_what_a_later_step_says(ingredient):
    found = list_step(step(ingredient, become={"a": Entry("a", Kind.DIRECTORY, 0o700, 5)}))
    assert (found.directories[1].mode, found.directories[1].uid) == (0o700, 5)


def test_moved_names_and_folders_before(ingredient):
    before = (Entry("z", Kind.DIRECTORY, 0o755),)
    moved = step(ingredient, prefix="", move={"a": "z/a"}, drop=frozenset({"a"}), before=before)
    found = list_step(moved)
    assert names(found.directories) == ["", "z"]
    assert names(found.rest) == ["z/a/l", "z/a/h", "z/a/i"]
    assert found.rest[1].target == "z/a/f"


def test_placed_name():
    assert placed_name("", "p", {}) == "p"
    assert placed_name("lib/x", "", {"lib": "usr/lib"}) == "usr/lib/x"
    assert placed_name("library", "p", {"lib": "usr/lib"}) == "p/library"


def test_the_key_of_a_file_is_all_but_its_name(ingredient):
    nodes = nodes_of(ingredient("i", {"a": b"x", "b": b"x", "c": b"y"}))
    assert file_key(nodes["a"]) == file_key(nodes["b"]) != file_key(nodes["c"])
