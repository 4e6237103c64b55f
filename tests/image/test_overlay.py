import pytest

from sampan.base.entry import Kind
from sampan.image.overlay import Draft, follow, links_of, overlay


@pytest.fixture
def drafts(ingredient):
    """Listings → settled drafts."""

    def make(*listings):
        made = [
            Draft(str(number), ingredient(str(number), listing), "")
            for number, listing in enumerate(listings)
        ]
        overlay(made)
        return made

    return make


def written(draft):
    return {path for path in draft.finals if draft.find(path) is not None}


@pytest.mark.parametrize(
    ("path", "last", "found"),
    [
        ("lib/x", False, "usr/lib/x"),
        ("lib", False, "lib"),
        ("lib", True, "usr/lib"),
        ("abs/y", False, "usr/y"),
        ("up/z", False, "z"),
        ("plain/x", False, "plain/x"),
        ("round/x", False, None),
    ],
)
def test_follow(path, last, found):
    links = {"lib": "usr/lib", "abs": "/usr", "up": "../..", "round": "round"}
    assert follow(path, links, last=last) == found


def test_of_two_files_the_later_one_is_written(drafts):
    first, second = drafts({"a": b"1", "b": b""}, {"a": b"2"})
    assert written(first) == {"b"}
    assert written(second) == {"a"}


def test_a_folder_is_written_first_with_what_the_last_says(drafts):
    first, second = drafts({"d/": None, "d/x": b""}, {"d/": None, "d/y": b""})
    assert written(first) == {"d", "d/x"}
    assert written(second) == {"d/y"}
    assert first.become["d"] is second.nodes["d"].entry


def test_a_file_over_a_folder_takes_all_of_it_away(drafts):
    first, second = drafts({"d/": None, "d/x": b""}, {"d": b"file"})
    assert written(first) == set()
    assert written(second) == {"d"}


def test_a_folder_over_a_file(drafts):
    first, second = drafts({"d": b"file"}, {"d/": None, "d/x": b""})
    assert written(first) == set()
    assert written(second) == {"d", "d/x"}


MERGED = {"usr/": None, "usr/lib/": None, "usr/lib/libc": b"", "lib": "-> usr/lib"}
MODULES = {"lib/": None, "lib/modules/": None, "lib/modules/x.ko": b""}


def test_modules_go_where_a_merged_usr_has_them(drafts):
    kernel, init = drafts(MODULES, MERGED)
    assert written(kernel) == {"usr/lib/modules", "usr/lib/modules/x.ko"}
    assert list(kernel.before) == ["usr", "usr/lib"]
    assert written(init) == {"usr/lib/libc", "lib"}
    assert {entry.kind for entry in kernel.before.values()} == {Kind.DIRECTORY}


def test_the_link_stays_whichever_tree_comes_first(drafts):
    merged, plain = drafts(MERGED, MODULES)
    assert written(merged) == {"usr", "usr/lib", "usr/lib/libc", "lib"}
    assert written(plain) == {"usr/lib/modules", "usr/lib/modules/x.ko"}
    assert not plain.before


def test_where_a_link_leads_nowhere_folders_are_made(drafts):
    first, second = drafts({"var/": None, "var/x": b""}, {"var": "-> data/var"})
    assert written(first) == {"data/var/x"}
    assert list(first.before) == ["data", "data/var"]
    assert written(second) == {"var"}


def test_links_of_the_later_tree_count(drafts):
    assert links_of(drafts({"a": "-> 1"}, {"a": "-> 2"})) == {"a": "2"}


def test_names_that_never_go_into_an_image(drafts):
    (only,) = drafts({"etc/": None, "etc/hosts": b"", ".dockerenv": b"", "etc/x": b""})
    assert written(only) == {"etc", "etc/x"}
