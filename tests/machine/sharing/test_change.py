import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.base.agent.change import (
    ATTRIB,
    CREATE,
    DELETE,
    MKDIR,
    MODIFY,
    RENAME,
    RMDIR,
    SYMLINK,
    TOUCH,
    Change,
)
from sampan.machine.sharing import change
from sampan.machine.sharing.change import LONGEST_S, QUIET_S, Changes


def told(*happened, kind=CREATE):
    """What is told of these changes, each a line as `rename a b`."""
    changes = Changes(lambda path: kind)
    for each in happened:
        changes.noted(Change(*each.split()), 0.0)
    return [" ".join(filter(None, each)) for each in changes.take()]


@pytest.mark.parametrize(
    "happened",
    [
        ["create a"],
        ["create a", "modify a"],
        ["mkdir a", "create a/b", "symlink a/c"],
        ["modify a", "attrib a"],
        ["delete a", "rmdir b"],
        ["rename a b", "modify b"],
        ["delete a", "create a"],
        ["rmdir a", "mkdir a", "create a/b"],
        ["delete b", "rename a b"],
        ["rename a b", "create a"],
    ],
)
def test_told_as_it_happened(happened):
    assert told(*happened) == happened


@pytest.mark.parametrize(
    ("happened", "expected"),
    [
        (["modify a", "modify a", "modify b", "modify a"], ["modify a", "modify b"]),
        (["create a", "create a", "attrib a", "modify a"], ["create a", "modify a"]),
        (["mkdir a", "attrib a"], ["mkdir a"]),
        # gone again
        (["create a", "modify a", "delete a"], []),
        (["mkdir a", "create a/b", "mkdir a/c", "rmdir a"], []),
        (["modify a", "attrib a", "delete a"], ["delete a"]),
        (["delete a", "create a", "modify a", "delete a"], ["delete a"]),
        # with its folder
        (["delete a/b/c", "rmdir a/b", "delete a/d", "rmdir a"], ["rmdir a"]),
        (["modify a/b", "rmdir a"], ["rmdir a"]),
        (["modify ab", "rmdir a"], ["modify ab", "rmdir a"]),
        # renamed
        (["rename a b", "rename b c"], ["rename a c", "delete b"]),
        (["rename a b", "rename b a"], ["delete b"]),
        (
            ["rename a tmp", "rename b a", "rename tmp b"],
            ["rename b a", "create b", "modify b", "delete tmp"],
        ),
        (["rename a b", "delete b"], ["delete a", "delete b"]),
        (["modify a", "attrib a", "rename a b"], ["rename a b", "modify b", "attrib b"]),
        (["modify b", "rename a b"], ["rename a b"]),
        (["rename x b", "rename a b"], ["delete x", "rename a b"]),
        # as editors save: another file in the place of the first
        (["create tmp", "modify tmp", "rename tmp a"], ["create a", "modify a"]),
        (["create tmp", "rename tmp a", "delete a"], ["delete a"]),
        (["symlink tmp", "rename tmp a"], ["symlink a"]),
        # folders that are renamed
        (["modify a/b", "rename a c"], ["rename a c", "modify c/b"]),
        (["delete a/b", "rename a c"], ["rename a c", "delete c/b"]),
        (["rename a/x y", "rename a c"], ["rename a c", "rename c/x y"]),
        (["rename x a/x", "rename a c"], ["rename a c", "rename x c/x"]),
        (["mkdir a", "create a/b", "rename a c"], ["mkdir c", "create c/b"]),
        (["create ab", "rename a c"], ["create ab", "rename a c"]),
        # out of a folder, or into it, before that was removed
        (["rename a/x y", "rmdir a"], ["create y", "rmdir a"]),
        (["rename x a/x", "rmdir a"], ["delete x", "rmdir a"]),
    ],
)
def test_as_little_as_says_the_same(happened, expected):
    assert told(*happened) == expected


def test_what_was_moved_out_of_a_folder_that_is_gone_is_what_it_is():
    assert told("rename a/x y", "rmdir a", kind=MKDIR) == ["mkdir y", "rmdir a"]


def test_it_is_told_once_it_is_quiet():
    changes = Changes(lambda path: CREATE)
    assert not changes
    changes.noted(Change(CREATE, "a"), 5.0)
    changes.noted(Change(CREATE, "b"), 5.04)
    assert changes
    assert changes.due_s() == pytest.approx(5.04 + QUIET_S)
    assert len(changes.take()) == 2
    assert not changes
    assert changes.take() == []


def test_what_is_never_quiet_is_told_all_the_same():
    changes = Changes(lambda path: CREATE)
    for now in (5.0, 5.3, 5.6):
        changes.noted(Change(MODIFY, "log"), now)
    assert changes.due_s() == pytest.approx(5.0 + LONGEST_S)


def test_of_too_much_only_the_folders(monkeypatch):
    monkeypatch.setattr(change, "MANY", 3)
    changes = Changes(lambda path: CREATE)
    for each in (
        Change(CREATE, "a/1"), Change(MODIFY, "a/2"), Change(MODIFY, "a/b/3"), Change(RENAME, "c/1", "d/1"), Change(RMDIR, "a/b/c"),
    ):  # fmt: skip
        changes.noted(each, 0.0)
    assert changes.take() == [Change(TOUCH, folder) for folder in ("a", "a/b", "c", "d")]
    changes.noted(Change(SYMLINK, "x"), 1.0)
    assert changes.take() == [Change(SYMLINK, "x")]


def test_of_too_many_folders_the_share(monkeypatch):
    monkeypatch.setattr(change, "MANY", 3)
    monkeypatch.setattr(change, "MANY_FOLDERS", 5)
    changes = Changes(lambda path: CREATE)
    for number in range(20):
        changes.noted(Change(ATTRIB, f"{number}/file"), 0.0)
    assert changes.take()[0] == Change(TOUCH, "")


def test_what_was_not_heard():
    changes = Changes(lambda path: CREATE)
    changes.noted(Change(DELETE, "a"), 0.0)
    changes.lost(0.0)
    changes.noted(Change(DELETE, "b"), 0.0)
    assert changes.take() == [Change(TOUCH, "")]


class Files:
    """Names below a folder, as sets of paths, and what may be done to them."""

    def __init__(self, names):
        self.names = dict(names)  # path → whose it is, and True for a folder
        self.used = set(names)

    def below(self, path):
        return [each for each in self.names if each.startswith(f"{path}/")]

    def has_folder(self, path):
        above = path.rpartition("/")[0]
        return not above or self.names.get(above, (0, False))[1]

    def do(self, each, serial=None):
        """Do it as a kernel would; whether that was possible.

        Folders have new names only: that two exchange theirs in a moment is not told well.
        """
        path, did, to = each.path, each.did, each.to
        if (did == MKDIR and path in self.used) or (
            to in self.used and self.names.get(path, (0, False))[1]
        ):
            return False
        self.used |= {path, to}
        here = self.names.get(path)
        if not self.has_folder(path) or (to and not self.has_folder(to)):
            return False
        if did in (CREATE, MKDIR):
            if here:
                return False
            self.names[path] = (serial, did == MKDIR)
        elif did == DELETE:
            if not here or here[1]:
                return False
            del self.names[path]
        elif did == RMDIR:
            if not here or not here[1] or self.below(path):
                return False
            del self.names[path]
        else:
            there = self.names.get(to)
            if not here or path == to or to.startswith(f"{path}/"):
                return False
            if there and (there[1] or here[1]):
                return False
            for old in [path, *self.below(path)]:
                self.names[to + old[len(path) :]] = self.names.pop(old)
        return True


PATHS = [*"abc", *(f"{a}/{b}" for a in "ab" for b in "xy"), "a/x/z"]
STEPS = st.one_of(
    st.builds(Change, st.sampled_from([CREATE, MKDIR, DELETE, RMDIR]), st.sampled_from(PATHS)),
    st.builds(Change, st.just(RENAME), st.sampled_from(PATHS), st.sampled_from(PATHS)),
)


@settings(derandomize=True, max_examples=400)
@given(st.lists(STEPS, max_size=14))
def test_who_does_what_is_told_has_the_same_names(steps):
    """A guest that follows ends with the host's names, of the same kinds, whatever happened."""
    before = {"a": (1, True), "a/x": (2, False), "b": (3, True), "c": (4, False)}
    host, guest = Files(before), Files(before)
    changes = Changes(lambda path: MKDIR if host.names[path][1] else CREATE)
    for number, each in enumerate(steps):
        if host.do(each, number):
            changes.noted(each, 0.0)
    for each in changes.take():
        if each.did == MODIFY:
            continue
        if each.did in (DELETE, RMDIR):
            for path in [each.path, *guest.below(each.path)]:
                guest.names.pop(path, None)
        else:
            guest.do(each)
    assert {path: kind for path, (_, kind) in guest.names.items()} == {
        path: kind for path, (_, kind) in host.names.items()
    }
