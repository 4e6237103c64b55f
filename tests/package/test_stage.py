import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.base.entry import Entry, Kind
from sampan.package.stage import Stage, StageError


def names(stage):
    return [node.entry.name for node in stage]


def test_parents_are_made_and_come_first(stage):
    stage.add_file("a/b/c", b"x")
    assert names(stage) == ["a", "a/b", "a/b/c"]
    assert stage.read(stage.find("a/b/c")) == b"x"


def test_a_name_below_a_link_lands_where_it_points(stage):
    stage.make_directory("usr/bin")
    stage.add_link("bin", "usr/bin")
    stage.add_file("bin/sh", b"x")
    assert "usr/bin/sh" in stage
    assert stage.find("/bin/sh").entry.name == "usr/bin/sh"


def test_an_absolute_link_starts_at_the_root_of_the_tree(stage):
    stage.make_directory("run")
    stage.add_link("var/run", "/run")
    stage.add_file("var/run/pid", b"1")
    assert "run/pid" in stage


def test_nothing_leaves_the_tree(stage):
    stage.add_link("up", "../../../..")
    stage.make_directory("up/etc")
    assert names(stage) == ["etc", "up"]


def test_links_in_a_circle_are_refused(stage):
    stage.add_link("a", "b")
    stage.add_link("b", "a")
    assert stage.find("a") is None
    with pytest.raises(StageError, match="too many symbolic links"):
        stage.add_file("a/x", b"")


def test_a_directory_leaves_a_link_to_a_directory(stage):
    stage.make_directory("usr/lib")
    stage.add_link("lib", "usr/lib")
    stage.add(Entry("lib", Kind.DIRECTORY, 0o700))
    assert stage.find("lib").entry.name == "usr/lib"
    assert stage.find("lib").entry.mode == 0o755


def test_the_first_package_decides_on_a_directory_but_not_one_that_was_implied(stage):
    stage.add_file("etc/a", b"")
    stage.add(Entry("etc", Kind.DIRECTORY, 0o750))
    stage.add(Entry("etc", Kind.DIRECTORY, 0o711))
    assert stage.find("etc").entry.mode == 0o750
    stage.make_directory("etc", mode=0o755, uid=3)
    assert (stage.find("etc").entry.mode, stage.find("etc").entry.uid) == (0o755, 3)


def test_a_file_replaces_a_file(stage):
    stage.add_file("a", b"old")
    stage.add_file("a", b"new one")
    assert stage.read(stage.find("a")) == b"new one"
    assert stage.find("a").entry.size == 7


def test_a_file_is_no_directory(stage):
    stage.add_file("a", b"")
    with pytest.raises(StageError, match="/a is not a directory"):
        stage.add_file("a/b", b"")


def test_a_directory_with_files_is_not_replaced(stage):
    stage.add_file("a/b", b"")
    with pytest.raises(StageError, match="a directory with files stands"):
        stage.add_file("a", b"")


def test_hard_links_share_their_content(stage):
    stage.add_file("b", b"x")
    stage.add(Entry("a", Kind.HARDLINK, 0, target="b"))
    first, second = stage
    assert first.serial == second.serial != 0
    assert stage.read(first) == b"x"


def test_a_hard_link_to_nothing_is_refused(stage):
    with pytest.raises(StageError, match="a hard link to /b"):
        stage.add(Entry("a", Kind.HARDLINK, 0, target="b"))


def test_filter_keeps_the_way_to_what_is_kept(stage):
    stage.add_file("a/b/c", b"")
    stage.add_file("a/d", b"")
    stage.make_directory("e")
    stage.filter(lambda name: name == "a/b/c")
    assert names(stage) == ["a", "a/b", "a/b/c"]


def test_move_and_remove_take_all_below(stage):
    stage.add_file("boot/kernel-1/image", b"x")
    stage.add_file("boot/kernel-10", b"")
    stage.move("boot/kernel-1", "k/e")
    assert "k/e/image" in stage
    stage.remove("k")
    assert names(stage) == ["boot", "boot/kernel-10"]


def test_content_may_be_made_of_the_content_of_others(stage):
    stage.add_file("a", b"x" * 600_000)
    copied = stage.add(Entry("b", Kind.FILE, 0o644), stage.content(stage.find("a")))
    assert stage.read(copied) == b"x" * 600_000


_PART = st.sampled_from(["a", "b", "..", ".", "", "c"])


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(
            st.lists(_PART, min_size=1, max_size=4).map("/".join),
            st.sampled_from(list(Kind)),
            st.lists(_PART, max_size=4).map("/".join),
        )
    )
)
def test_whatever_is_added_the_tree_stays_a_tree(tmp_path_factory, additions):
    with Stage(tmp_path_factory.mktemp("spool")) as stage:
        for name, kind, target in additions:
            try:
                stage.add(Entry(name, kind, 0o644, target=target), [b"x"])
            except StageError:
                continue
        found = names(stage)
        assert found == sorted(set(found))
        for node in stage:
            parts = node.entry.name.split("/")
            assert all(part not in ("", ".", "..") for part in parts)
            parent = "/".join(parts[:-1])
            above = stage.find(parent)
            assert not parent or (above is not None and above.entry.kind is Kind.DIRECTORY)
