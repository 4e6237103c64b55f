import errno
import os

import pytest

from sampan.base.agent.change import (
    ATTRIB,
    CREATE,
    DELETE,
    MKDIR,
    MODIFY,
    RENAME,
    RMDIR,
    SYMLINK,
    Change,
)
from sampan.machine.error import MachineError
from sampan.machine.sharing import inotify, tree
from sampan.machine.sharing.inotify import Inotify, Notice
from sampan.machine.sharing.tree import Tree


class Watched:
    """A folder that is watched; `happened` gives what was heard since the last time."""

    def __init__(self, folder, queue):
        self.folder = folder
        self.queue = queue
        self.heard: list[Change] = []
        self.lost = 0
        self.tree = Tree(str(folder), queue, self.heard.append, self._lose)

    def _lose(self):
        self.lost += 1

    def happened(self):
        self.tree.turn()
        heard, self.heard[:] = [*dict.fromkeys(self.heard)], []
        return heard


@pytest.fixture
def watched(tmp_path):
    folder = tmp_path / "share"
    (folder / "old" / "deep").mkdir(parents=True)
    (folder / "old" / "file").touch()
    (tmp_path / "outside").mkdir()
    (folder / "link").symlink_to(tmp_path / "outside")
    with Inotify() as queue:
        found = Watched(folder, queue)
        found.tree.start()
        yield found


def test_what_is_there_is_not_news(watched):
    assert watched.happened() == []


def test_files(watched):
    there = watched.folder / "old" / "deep"
    (there / "new").write_text("x")
    (there / "new").chmod(0o600)
    (there / "again").symlink_to("new")
    (there / "new").unlink()
    path = "old/deep/new"
    assert watched.happened() == [
        Change(CREATE, path), Change(MODIFY, path), Change(ATTRIB, path),
        Change(SYMLINK, "old/deep/again"), Change(DELETE, path),
    ]  # fmt: skip


def test_names(watched):
    (watched.folder / "old" / "file").rename(watched.folder / "name")
    assert watched.happened() == [Change(RENAME, "old/file", "name")]


def test_in_and_out_of_the_share(watched, tmp_path):
    (watched.folder / "old" / "file").rename(tmp_path / "out")
    (tmp_path / "out").rename(watched.folder / "in")
    assert sorted(watched.happened()) == [Change(CREATE, "in"), Change(DELETE, "old/file")]
    (watched.folder / "old").rename(tmp_path / "gone")
    assert watched.happened() == [Change(RMDIR, "old")]
    (tmp_path / "gone" / "deep" / "unheard").touch()
    assert watched.happened() == []
    (tmp_path / "gone").rename(watched.folder / "back")
    assert watched.happened() == [
        Change(MKDIR, "back"), Change(MKDIR, "back/deep"), Change(CREATE, "back/deep/unheard"),
    ]  # fmt: skip


def test_new_folders_are_watched_with_what_is_in_them_already(watched):
    (watched.folder / "new" / "deep").mkdir(parents=True)
    (watched.folder / "new" / "deep" / "file").touch()
    assert watched.happened() == [
        Change(MKDIR, "new"), Change(MKDIR, "new/deep"), Change(CREATE, "new/deep/file"),
    ]  # fmt: skip
    (watched.folder / "new" / "deep" / "other").touch()
    assert Change(CREATE, "new/deep/other") in watched.happened()


def test_folders_keep_their_watches_with_another_name(watched):
    (watched.folder / "old").rename(watched.folder / "name")
    (watched.folder / "name" / "deep" / "file").touch()
    heard = watched.happened()
    assert heard[:2] == [Change(RENAME, "old", "name"), Change(CREATE, "name/deep/file")]


def test_links_are_not_followed(watched, tmp_path):
    (tmp_path / "outside" / "file").touch()
    assert watched.happened() == []


def test_a_pipe_is_there_and_no_more(watched):
    os.mkfifo(watched.folder / "pipe")
    assert watched.happened() == [Change(ATTRIB, "pipe")]


def test_kinds(tmp_path):
    (tmp_path / "link").symlink_to("none")
    (tmp_path / "file").touch()
    found = [tree.kind(str(tmp_path / name)) for name in ("link", "file", ".", "none")]
    assert found == [SYMLINK, CREATE, MKDIR, CREATE]


class Queue:
    """An inotify that says what the test says, and has so many watches left."""

    def __init__(self, left):
        self.left = left
        self.notices = []

    def add(self, folder):
        if not self.left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        self.left -= 1
        return self.left

    def read(self):
        notices, self.notices = self.notices, []
        return notices


def test_after_an_overflow_all_of_it_is_looked_for_again(watched):
    (watched.folder / "unheard").mkdir()
    watched.queue.read()
    notice = Notice(-1, inotify.OVERFLOW, 0, b"")
    watched.tree._take([notice])
    assert watched.lost == 1
    assert watched.happened() == []
    (watched.folder / "unheard" / "file").touch()
    assert Change(CREATE, "unheard/file") in watched.happened()


def test_too_many_folders(tmp_path, caplog):
    (tmp_path / "folder").mkdir()
    for left in (0, 1):
        with pytest.raises(MachineError, match="cannot watch") as caught:
            Watched(tmp_path, Queue(left)).tree.start()
        assert "max_user_watches" in caught.value.hint
    queue = Queue(2)
    found = Watched(tmp_path, queue)
    found.tree.start()
    caplog.clear()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        queue.notices = [Notice(1, inotify.CREATE | inotify.IS_FOLDER, 0, name.encode())]
        assert found.happened() == [Change(MKDIR, name)]
    assert caplog.text.count("cannot watch") == 1


def test_a_folder_that_is_not_there(tmp_path):
    with Inotify() as queue, pytest.raises(MachineError, match="No such file"):
        Watched(tmp_path / "none", queue).tree.start()
