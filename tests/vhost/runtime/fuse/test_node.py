"""Nodes, apart from requests."""

import errno
import os
import stat

import pytest

from sampan.vhost.runtime.fuse.node import Nodes


@pytest.fixture
def nodes(root):
    nodes = Nodes(os.open(root, os.O_PATH), 100)
    yield nodes
    nodes.close()


def test_names_lead_from_the_root(nodes, root):
    (root / "a" / "b").mkdir(parents=True)
    above, _ = nodes.look_up(nodes.root, b"a")
    below, _ = nodes.look_up(above, b"b")
    assert nodes.names(nodes.root) == ()
    assert nodes.names(below) == (b"a", b"b")
    assert nodes.placed(above, b"b") is below
    nodes.forget(above.id, 1)
    assert nodes.names(below) is None


def test_a_place_is_the_last_one(nodes, root):
    (root / "one").touch()
    os.link(root / "one", root / "two")
    node, _ = nodes.look_up(nodes.root, b"one")
    nodes.look_up(nodes.root, b"two")
    assert nodes.names(node) == (b"two",)
    assert nodes.placed(nodes.root, b"one") is None
    nodes.forget(node.id, 2)
    assert nodes.placed(nodes.root, b"two") is None


def test_places_that_go_around(nodes, root):
    (root / "a" / "b").mkdir(parents=True)
    above, _ = nodes.look_up(nodes.root, b"a")
    below, _ = nodes.look_up(above, b"b")
    nodes.place(above, below, b"c")
    assert nodes.names(below) is None


def test_what_is_made_up_has_no_descriptor(nodes):
    node = nodes.make_up(stat.S_IFDIR, nodes.root, b"x")
    assert nodes.get(node.id) is node
    assert nodes.names(node) == (b"x",)
    with pytest.raises(FileNotFoundError):
        nodes.real(node.id)
    nodes.forget(node.id, 1)
    with pytest.raises(OSError, match="no such node") as refused:
        nodes.get(node.id)
    assert refused.value.errno == errno.ESTALE


def test_links_are_reached_themselves(nodes, root):
    (root / "link").symlink_to("/")
    node, status = nodes.look_up(nodes.root, b"link")
    assert stat.S_ISLNK(status.st_mode)
    again = nodes.reopen(node.fd)
    assert stat.S_ISLNK(os.fstat(again).st_mode)
    assert nodes.adopt(again, nodes.root, b"link")[0] is node


def test_inodes_of_other_file_systems_have_other_numbers(nodes, root):
    status = root.stat()
    other = os.stat_result((status.st_mode, status.st_ino, 1 << 40, 1, 0, 0, 0, 0, 0, 0))
    assert nodes.number(status) == status.st_ino
    assert nodes.number(other) == status.st_ino ^ 1 << 48


def test_closing_gives_all_back(root, open_fds):
    (root / "file").touch()
    before = open_fds()
    nodes = Nodes(os.open(root, os.O_PATH), 100)
    nodes.look_up(nodes.root, b"file")
    assert open_fds() == before + 2
    nodes.close()
    assert open_fds() == before
