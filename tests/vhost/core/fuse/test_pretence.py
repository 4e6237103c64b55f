"""What a teller sees, and what it uses: tables of stages and questions."""

import pytest

from sampan.vhost.core.fuse.control import EXPIRY_S, Deed, Item
from sampan.vhost.core.fuse.pretence import Pretences, Sight


def path(text):
    return tuple(text.encode().split(b"/")) if text else ()


def item(words):
    did, *paths = words.split()
    return Item(Deed(did), *map(path, paths))


def staged(*lines):
    pretences = Pretences()
    assert pretences.stage(map(item, lines), 0.0) == 0
    return pretences


@pytest.mark.parametrize(
    ("lines", "asked", "sight", "folder"),
    [
        (["create a"], "a", Sight.ABSENT, None),
        (["mkdir a/b"], "a/b", Sight.ABSENT, None),
        (["symlink a"], "a", Sight.ABSENT, None),
        (["delete a"], "a", Sight.GONE, False),
        (["rmdir a"], "a", Sight.GONE, True),
        (["rename a b"], "a", Sight.MOVED, None),
        (["rename a b"], "b", Sight.TARGET, None),
        (["modify a"], "a", Sight.THERE, None),
        (["attrib a"], "a", Sight.THERE, None),
        (["delete a/b"], "a", Sight.THERE, True),
        (["rename x/a a/b/c"], "a/b", Sight.THERE, True),
        (["delete a/b", "rmdir a"], "a", Sight.GONE, True),
        (["mkdir a", "create a/b"], "a", Sight.ABSENT, None),
        (["create a", "delete a"], "a", Sight.ABSENT, None),
        (["delete a", "create a"], "a", Sight.GONE, False),
        (["rename a b", "rename b c"], "b", Sight.TARGET, None),
        (["attrib a/b", "create a"], "a", Sight.ABSENT, None),
    ],
)
def test_how_names_are_seen(lines, asked, sight, folder):
    view = staged(*lines).view(path(asked), 1.0)
    assert (view.sight, view.folder) == (sight, folder)


@pytest.mark.parametrize("asked", ["b", "a/b", "x", "a/bb"])
def test_other_names_are_seen_as_they_are(asked):
    assert staged("create a").view(path(asked), 1.0) is None


@pytest.mark.parametrize(
    ("line", "deeds", "asked", "to"),
    [
        ("create a", [Deed.CREATE], "a", ""),
        ("rename a b/c", [Deed.RENAME], "a", "b/c"),
        ("attrib a", [Deed.MODIFY, Deed.ATTRIB], "a", ""),
    ],
)
def test_each_is_used_once(line, deeds, asked, to):
    pretences = staged(line)
    assert pretences.take(deeds, path(asked), 1.0, path(to)) == item(line)
    assert pretences.take(deeds, path(asked), 1.0, path(to)) is None
    assert pretences.view(path(asked), 1.0) is None


@pytest.mark.parametrize(
    ("deeds", "asked", "to"),
    [([Deed.MKDIR], "a", "b"), ([Deed.RENAME], "b", "a"), ([Deed.RENAME], "a", "c"),
     ([Deed.RENAME], "a", ""), ([], "a", "b")],
)  # fmt: skip
def test_others_use_nothing(deeds, asked, to):
    pretences = staged("rename a b")
    assert pretences.take(deeds, path(asked), 1.0, path(to)) is None
    assert len(pretences) == 1


def test_one_after_the_other():
    pretences = staged("create a", "modify a", "delete a", "create a")
    seen = []
    for deed in (Deed.CREATE, Deed.MODIFY, Deed.DELETE, Deed.CREATE):
        seen.append(pretences.view(path("a"), 1.0).sight)
        assert pretences.take([deed], path("a"), 1.0)
    assert seen == [Sight.ABSENT, Sight.THERE, Sight.GONE, Sight.ABSENT]


def test_a_stage_takes_the_place_of_the_one_before():
    pretences = staged("create a", "create b")
    assert pretences.stage([item("create c")], 2.0) == 2
    assert pretences.view(path("a"), 2.0) is None


def test_a_stage_expires():
    pretences = staged("create a")
    assert pretences.view(path("a"), EXPIRY_S - 0.1)
    assert pretences.view(path("a"), EXPIRY_S) is None
    assert pretences.take([Deed.CREATE], path("a"), EXPIRY_S) is None
    assert pretences.stage([], 100.0) == 0
