import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.base.entry import Entry, Kind
from sampan.oci.digest import Digest
from sampan.oci.layer import LayerEntry, LayerIndex, scan
from sampan.oci.limit import LimitError, Limits
from sampan.oci.tree import InvalidLayerError, Tree, flatten
from sampan.oci.tree import flat as flat_module


@pytest.fixture
def flat(layer, item):
    """The tree of layers, each a list of what `item` takes."""

    def make(*layers) -> Tree:
        return flatten([scan(io.BytesIO(layer(items))) for items in layers])

    return make


def names(tree: Tree) -> list[str]:
    return [node.entry.name for node in tree.nodes]


def test_a_higher_layer_wins_and_metadata_of_folders_is_taken_over(flat, item):
    tree = flat([item("d/"), item("d/f", b"old")], [item("d/", mtime_ns=5), item("d/f", b"new!")])
    assert names(tree) == ["d", "d/f"]
    assert tree.by_name["d"].entry.mtime_ns == 5
    assert (tree.by_name["d/f"].layer, tree.by_name["d/f"].entry.size) == (1, 4)


def test_a_marker_hides_only_what_is_below(flat, item):
    tree = flat([item("d/"), item("d/a"), item("d/b")], [item("d/a", b"mine"), item("d/.wh.a")])
    assert names(tree) == ["d", "d/b", "d/a"]
    assert tree.by_name["d/a"].entry.size == 4


def test_a_marker_removes_a_whole_folder(flat, item):
    assert names(flat([item("d/"), item("d/e/f"), item("g")], [item(".wh.d")])) == ["g"]


def test_an_opaque_marker_empties_a_folder_but_for_this_layer(flat, item):
    tree = flat(
        [item("d/"), item("d/a"), item("d/e/f"), item("g")],
        [item("d/"), item("d/new"), item("d/.wh..wh..opq")],
    )
    assert names(tree) == ["d", "g", "d/new"]


def test_an_opaque_marker_in_the_root(flat, item):
    assert names(flat([item("a"), item("b/")], [item(".wh..wh..opq"), item("c")])) == ["c"]


def test_markers_of_what_is_not_there_do_nothing(flat, item):
    tree = flat(
        [item("a")], [item(".wh.b"), item("x/.wh.y"), item("a/.wh.z"), item(".wh..wh.aufs")]
    )
    assert names(tree) == ["a"]


def test_names_that_only_look_like_markers_stay(flat, item):
    assert names(flat([item("a.wh.b"), item("c/")], [item("c/x.wh.")])) == [
        "a.wh.b",
        "c",
        "c/x.wh.",
    ]


def test_bookkeeping_of_aufs_is_left_out(flat, item):
    assert names(flat([item(".wh..wh.plnk/"), item(".wh..wh.plnk/1.2"), item("a")])) == ["a"]


@pytest.mark.parametrize("marker", [".wh.", ".wh..", ".wh...", "d/.wh..."])
def test_markers_that_would_reach_out_are_refused(flat, item, marker):
    with pytest.raises(InvalidLayerError, match=r"layer 2 .*removes nothing"):
        flat([item("d/"), item("d/a")], [item(marker)])


def test_a_file_replaces_a_folder_and_a_folder_a_file(flat, item):
    tree = flat([item("a/"), item("a/b"), item("c")], [item("a"), item("c/"), item("c/d")])
    assert names(tree) == ["a", "c", "c/d"]
    assert [node.entry.kind for node in tree.nodes] == [Kind.FILE, Kind.DIRECTORY, Kind.FILE]


def test_missing_folders_are_made(flat, item):
    tree = flat([item("a/b/c")])
    assert names(tree) == ["a", "a/b", "a/b/c"]
    assert tree.nodes[0].entry == Entry("a", Kind.DIRECTORY, 0o755)


def test_the_root_is_there_when_a_layer_has_it(flat, item):
    assert names(flat([item("a")], [item("/", mtime_ns=3)])) == ["", "a"]


def test_hard_links_join_names_across_layers(flat, item):
    tree = flat([item("z", b"text", mode=0o4755)], [item("a", link="z")])
    assert names(tree) == ["z", "a"]
    assert (tree.nodes[1].entry.kind, tree.nodes[1].entry.target) == (Kind.HARDLINK, "z")
    assert tree.nodes[1].digest == b""


@pytest.mark.parametrize("upper", [".wh.z", "z"])
def test_a_link_whose_target_is_gone_becomes_the_file(flat, item, upper):
    tree = flat(
        [item("z", b"text", mode=0o4755), item("a", link="z"), item("b", link="a")],
        [item(upper)],
    )
    a, b = tree.by_name["a"], tree.by_name["b"]
    assert (a.entry.kind, a.entry.size, a.entry.mode, a.layer) == (Kind.FILE, 4, 0o4755, 0)
    assert a.offset
    assert a.digest
    assert (b.entry.kind, b.entry.target) == (Kind.HARDLINK, "a")


def test_a_link_to_itself_or_to_what_it_is_already_changes_nothing(flat, item):
    tree = flat([item("a", b"x"), item("b", link="a")], [item("b", link="a"), item("a", link="a")])
    assert [node.entry.kind for node in tree.nodes] == [Kind.FILE, Kind.HARDLINK]


@pytest.mark.parametrize(
    ("target", "said"), [("nope", "not there"), ("x/y", "not there"), ("d", "a folder")]
)
def test_links_to_nothing_are_refused(flat, item, target, said):
    with pytest.raises(InvalidLayerError, match=said):
        flat([item("d/"), item("a", link=target)])


@pytest.mark.parametrize("target", ["usr/lib", "/usr/lib", "../../usr/./lib", "usr/../usr/lib"])
def test_a_folder_that_is_a_link_below_is_followed_inside_the_tree(flat, item, target):
    tree = flat(
        [item("usr/"), item("usr/lib/"), item("usr/lib/a"), item("lib", to=target)],
        [item("lib/b", b"1"), item("lib/.wh.a"), item("c", link="lib/b")],
    )
    assert names(tree) == ["usr", "usr/lib", "lib", "usr/lib/b", "c"]
    assert tree.by_name["c"].entry.target == "usr/lib/b"


def test_a_link_that_leads_nowhere_has_its_folder_made(flat, item):
    tree = flat([item("lib", to="/../../x/y")], [item("lib/f")])
    assert names(tree) == ["lib", "x", "x/y", "x/y/f"]


def test_a_folder_replaces_a_link(flat, item):
    tree = flat([item("usr/"), item("lib", to="usr")], [item("lib/"), item("lib/f")])
    assert names(tree) == ["usr", "lib", "lib/f"]


def test_circles_and_files_in_files_are_refused(flat, item):
    with pytest.raises(InvalidLayerError, match=r"layer 1 .*circle"):
        flat([item("a", to="b"), item("b", to="a"), item("a/x")])
    with pytest.raises(InvalidLayerError, match="'f' is no folder"):
        flat([item("f")], [item("f/x")])
    with pytest.raises(InvalidLayerError, match="'f/g' is no folder"):
        flat([item("f")], [item("f/g/x")])


def test_bombs_are_refused(flat, item, layer, monkeypatch):
    index = scan(io.BytesIO(layer([item("a/b/c/d/e/f")])))
    with pytest.raises(LimitError, match="more than 4 entries"):
        flatten([index], limits=Limits(entries=4))
    monkeypatch.setattr(flat_module, "_MAX_LINK_STEPS", 10)
    with pytest.raises(LimitError, match="symbolic links"):
        flat([item("a", to="b/../b/../b/../b"), item("a/x"), item("y"), item("a/z")])


PARTS = st.sampled_from(["a", "b", "c"])
PATH = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
CHANGE = st.tuples(st.sampled_from(["file", "folder", "remove", "empty"]), PATH)


def drop(tree, path, *, itself=True):
    for name in [n for n in tree if n.startswith(path + "/") or (itself and n == path)]:
        del tree[name]


def add(tree, change, path, number):
    if change == "file" or tree.get(path, ("folder",))[0] == "file":
        drop(tree, path)
    parents = path.split("/")[:-1]
    for depth in range(1, len(parents) + 1):
        if tree.setdefault("/".join(parents[:depth]), ("folder", number))[0] == "file":
            raise NotADirectoryError
    tree[path] = (change, number)


def naive(layers) -> dict[str, tuple[str, int]]:
    """Applies layers to a plain dict of names, the slow and obvious way."""
    tree: dict[str, tuple[str, int]] = {}
    for number, changes in enumerate(layers):
        for change, path in changes:
            if change == "remove":
                drop(tree, path)
            elif change == "empty" and tree.get(path, ("file", 0))[0] == "folder":
                drop(tree, path, itself=False)
        for change, path in changes:
            if change in ("file", "folder"):
                add(tree, change, path, number)
    return tree


def index_of(changes) -> LayerIndex:
    def entry(change, path):
        folder, slash, base = path.rpartition("/")
        match change:
            case "file":
                return Entry(path, Kind.FILE, 0o644)
            case "folder":
                return Entry(path, Kind.DIRECTORY, 0o755)
            case "remove":
                return Entry(f"{folder}{slash}.wh.{base}", Kind.FILE, 0)
            case _:
                return Entry(f"{path}/.wh..wh..opq", Kind.FILE, 0)

    return LayerIndex(Digest.of(b""), 0, tuple(LayerEntry(entry(*change)) for change in changes))


@given(st.lists(st.lists(CHANGE, max_size=6), max_size=4))
@settings(max_examples=500)
def test_flatten_agrees_with_the_naive_way(layers):
    indexes = [index_of(changes) for changes in layers]
    try:
        expected = naive(layers)
    except NotADirectoryError:
        with pytest.raises(InvalidLayerError):
            flatten(indexes)
        return
    tree = flatten(indexes)
    kinds = {Kind.FILE: "file", Kind.DIRECTORY: "folder"}
    assert {n.entry.name: (kinds[n.entry.kind], n.layer) for n in tree.nodes} == expected
    seen = {""}
    for node in tree.nodes:  # parents before children
        assert node.entry.name.rpartition("/")[0] in seen
        seen.add(node.entry.name)
