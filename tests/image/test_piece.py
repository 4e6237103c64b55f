import io

import pytest

from sampan.base.entry import Entry, Kind
from sampan.formats import cpio
from sampan.image import piece
from sampan.image.listing import file_key
from sampan.image.step import Made, MadeStep, TreeStep

BIG = b"x" * 5000


def step(ingredient, listing, **keys):
    return TreeStep(name="x", ingredient=ingredient("i", listing), **{"prefix": "", **keys})


def key_of(made):
    return file_key(made.ingredient.tree.nodes[0])


def read(records, content=BIG * 2):
    """The members that the records make; every node has the first bytes of `content`."""
    data = b""
    for record in records:
        data += record.head + content[: record.size] + cpio.padding(record.size)
    assert len(data) == piece.length_of(records)
    return {one.entry.name: one for one, _ in cpio.read(io.BytesIO(data))}


def test_hard_links_of_an_image_stay_hard_links(ingredient):
    found = read(piece.records_of(step(ingredient, {"f": b"1", "h": "= f", "g": b"1"})))
    assert found["f"].inode == found["h"].inode != found["g"].inode
    assert (found["f"].inode.links, found["g"].inode.links) == (2, 1)
    assert (found["f"].entry.size, found["h"].entry.size) == (1, 0)


def test_a_hard_link_has_the_mode_of_its_target(ingredient):
    listing = {"f": Entry("f", Kind.FILE, 0o4755, 1, 2, size=1), "h": "= f"}
    link = read(piece.records_of(step(ingredient, listing)))["h"].entry
    assert (link.mode, link.uid, link.gid) == (0o4755, 1, 2)


def test_hard_links_to_devices(ingredient):
    listing = {"d": Entry("d", Kind.CHARACTER, 0o666, device=(1, 3)), "h": "= d"}
    found = read(piece.records_of(step(ingredient, listing)))
    assert found["h"].inode == found["d"].inode
    assert found["h"].entry.device == (1, 3)


def test_the_first_of_equal_files_has_the_content(ingredient):
    made = step(ingredient, {"a": BIG, "b": BIG})
    shared = step(ingredient, {"a": BIG, "b": BIG}, shared=frozenset({key_of(made)}))
    found = read(piece.records_of(shared))
    assert [found[name].entry.size for name in "ab"] == [5000, 0]
    assert found["a"].inode == found["b"].inode


def test_a_file_that_an_earlier_piece_has_is_only_linked(ingredient):
    key = key_of(step(ingredient, {"a": BIG}))
    later = step(ingredient, {"z": BIG}, shared=frozenset({key}), stored=frozenset({key}))
    earlier = step(ingredient, {"a": BIG}, shared=frozenset({key}))
    [linked], [first] = piece.records_of(later), piece.records_of(earlier)
    assert linked.source is None
    assert read([linked])["z"].inode == read([first])["a"].inode


@pytest.mark.parametrize("other", [b"y" * 5000, BIG + b"x"])
def test_other_content_is_another_inode(ingredient, other):
    one, two = (step(ingredient, {"a": content}) for content in (BIG, other))
    inodes = [
        read(piece.records_of(step(ingredient, {"a": c}, shared=frozenset({key_of(s)}))))["a"].inode
        for c, s in ((BIG, one), (other, two))
    ]
    assert inodes[0] != inodes[1]


def test_what_is_in_boot_stays_outside():
    boot = MadeStep(
        "made",
        (
            Made(Entry("boot", Kind.DIRECTORY, 0o755)),
            Made(Entry("boot/kernel", Kind.FILE, 0o644, size=3), b"abc"),
            Made(Entry("f", Kind.FILE, 0o644, size=3), b"abc"),
        ),
        "id",
    )
    assert list(read(piece.records_of(boot))) == ["boot", "f"]


def test_what_is_in_boot_of_a_tree_stays_outside(ingredient):
    listing = {"boot/": None, "boot/dtb/": None, "boot/x": b"1", "boot/l": "-> x"}
    assert list(read(piece.records_of(step(ingredient, listing)))) == ["boot"]
