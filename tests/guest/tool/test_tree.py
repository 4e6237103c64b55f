import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.guest.tool import tree


def test_files_and_folders(tmp_path):
    problems = tree.write(
        str(tmp_path),
        {
            "ssh": {
                "perm": "0700",
                "entries": {"authorized_keys": {"perm": "0600", "content": "key ä\n"}},
            },
            "plain": {"content": "x"},
            "folder": {"entries": {}},
        },
    )
    assert problems == []
    assert (tmp_path / "ssh" / "authorized_keys").read_text() == "key ä\n"
    modes = {
        path: (tmp_path / path).stat().st_mode & 0o7777
        for path in ("ssh", "ssh/authorized_keys", "plain", "folder")
    }
    expected = {"ssh": 0o700, "ssh/authorized_keys": 0o600, "plain": 0o644, "folder": 0o755}
    assert modes == expected


@pytest.mark.parametrize("name", ["", ".", "..", "../up", "a/b", "/etc/x", "nul\0"])
def test_names_that_would_leave(tmp_path, name):
    folder = tmp_path / "config"
    folder.mkdir()
    problems = tree.write(str(folder), {name: {"content": "x"}, "good": {"content": "y"}})
    assert len(problems) == 1
    assert "no name for a file" in problems[0]
    assert [each.name for each in folder.iterdir()] == ["good"]
    assert [each.name for each in tmp_path.iterdir()] == ["config"]


def test_links_are_not_followed(tmp_path):
    folder, outside = tmp_path / "config", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "dir").symlink_to(outside)
    (folder / "file").symlink_to(outside / "file")
    os.mkfifo(folder / "pipe")
    entries = {
        "dir": {"entries": {"x": {"content": "x"}}},
        "file": {"content": "x"},
        "pipe": {"content": "x"},
    }
    assert len(tree.write(str(folder), entries)) == 3
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "text",
        {},
        {"content": "x", "entries": {}},
        {"content": 7},
        {"content": "x", "perm": 644},
        {"content": "x", "perm": "99"},
        {"content": "x", "perm": "77777"},
        {"content": "x", "perm": "-1"},
        {"entries": []},
    ],
)
def test_what_makes_no_sense_is_left_out(tmp_path, entry):
    assert len(tree.write(str(tmp_path), {"bad": entry, "good": {"content": ""}})) == 1
    assert (tmp_path / "good").exists()


def test_the_top_has_to_be_an_object(tmp_path):
    assert tree.write(str(tmp_path), ["x"]) == ["the data is no object"]


def test_depth_is_bounded(tmp_path):
    entry: dict[str, object] = {"content": "x"}
    for _ in range(200):
        entry = {"entries": {"d": entry}}
    assert "too deep" in tree.write(str(tmp_path), {"d": entry})[0]


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=9),
    lambda inner: st.dictionaries(
        st.sampled_from(["content", "entries", "perm", "..", "a/b"]) | st.text(max_size=5), inner
    ),
    max_leaves=20,
)


@settings(max_examples=80)
@given(tree_=JSON)
def test_nothing_leaves_the_folder(tree_, tmp_path_factory):
    root = tmp_path_factory.mktemp("root")
    (root / "config").mkdir()
    tree.write(str(root / "config"), tree_)
    assert [each.name for each in root.iterdir()] == ["config"]


def test_content_of_a_file():
    assert tree.content({"hostname": {"content": "web"}}, "hostname") == "web"
    for nothing in (None, {}, {"hostname": "web"}, {"hostname": {"content": 1}}):
        assert tree.content(nothing, "hostname") == ""
