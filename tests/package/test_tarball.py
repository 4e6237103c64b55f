import io
import tarfile

from sampan.base.entry import Entry, Kind
from sampan.package import tarball


def listed(stream):
    stream.seek(0)
    with tarfile.open(fileobj=stream) as archive:
        return [(m.name, m.type, m.mode, m.mtime, m.linkname) for m in archive]


def test_a_tree_with_hard_links(stage):
    stage.add_file("b", b"xy", mode=0o4755)
    stage.add(Entry("a", Kind.HARDLINK, 0, target="b"))
    stage.add_link("c", "b")
    stage.make_directory("d")
    stream = io.BytesIO()
    tarball.write_stage(stream, stage, mtime_s=5)
    assert listed(stream) == [
        ("a", tarfile.REGTYPE, 0o4755, 5, ""),
        ("b", tarfile.LNKTYPE, 0o4755, 5, "a"),
        ("c", tarfile.SYMTYPE, 0o777, 5, "b"),
        ("d", tarfile.DIRTYPE, 0o755, 5, ""),
    ]


def test_members_are_sorted_with_their_parents():
    members = [tarball.file("b/c", lambda: b"xyz"), tarball.file("a", lambda: b"")]
    stream = io.BytesIO()
    tarball.write_members(stream, tarball.with_parents(members))
    assert [name for name, *_ in listed(stream)] == ["a", "b", "b/c"]
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        content = archive.extractfile("b/c")
        assert content is not None
        assert content.read() == b"xyz"
