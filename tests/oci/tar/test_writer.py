import io
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.base.entry import Entry, Kind
from sampan.oci import tar
from sampan.oci.tar import Writer

BYTE = st.binary(min_size=1, max_size=90).filter(lambda part: not {0, 47} & set(part))
NAME = (
    st.lists(BYTE.filter(lambda part: part not in (b".", b"..")), min_size=1, max_size=5)
    .map(b"/".join)
    .map(lambda name: name.decode("utf-8", "surrogateescape"))
)
OWNER = st.integers(0, 2**32 - 1)


@st.composite
def entries(draw):
    kind = draw(st.sampled_from(list(Kind)))
    link = kind in (Kind.SYMLINK, Kind.HARDLINK)
    device = kind in (Kind.CHARACTER, Kind.BLOCK)
    content = draw(st.binary(max_size=1200)) if kind is Kind.FILE else b""
    xattrs = draw(st.dictionaries(st.text("abc.é", min_size=1, max_size=9), st.binary(max_size=9)))
    return Entry(
        name=draw(NAME),
        kind=kind,
        mode=draw(st.integers(0, 0o7777)),
        uid=draw(OWNER),
        gid=draw(OWNER),
        mtime_ns=draw(st.integers(-(2**62), 2**63 - 1)),
        size=len(content),
        target=draw(NAME) if link else "",
        device=draw(st.tuples(st.integers(0, 2**20), st.integers(0, 2**22))) if device else (0, 0),
        xattrs=tuple(sorted(xattrs.items())),
        uname=draw(st.text("abcé", max_size=40)),
        gname=draw(st.text("abcé", max_size=40)),
    ), content


def written(items, **options) -> bytes:
    stream = io.BytesIO()
    with Writer(stream, **options) as writer:
        for entry, content in items:
            writer.add(entry, [content[:5], memoryview(content)[5:]])
    assert writer.position == len(stream.getvalue())
    return stream.getvalue()


@given(st.lists(entries(), max_size=4))
@settings(max_examples=100)
def test_what_is_written_is_read(items):
    data = written(items)
    found = [(entry, content.read()) for entry, content in tar.read(io.BytesIO(data))]
    assert found == items
    assert written(items) == data


@given(st.lists(entries(), max_size=3))
@settings(max_examples=60)
def test_the_standard_library_reads_it(items):
    with tarfile.open(
        fileobj=io.BytesIO(written(items)), encoding="utf-8", errors="surrogateescape"
    ) as archive:
        for info, (entry, content) in zip(archive.getmembers(), items, strict=True):
            assert info.name == entry.name
            assert (info.mode, info.uid, info.gid) == (entry.mode, entry.uid, entry.gid)
            assert info.linkname == entry.target
            assert info.mtime == pytest.approx(entry.mtime_ns / 10**9)
            if entry.kind is Kind.FILE:
                extracted = archive.extractfile(info)
                assert extracted is not None
                assert extracted.read() == content


def test_a_plain_entry_takes_one_block():
    stream = io.BytesIO()
    Writer(stream).add(Entry("a", Kind.FILE, 0o644, mtime_ns=5 * 10**9))
    assert len(stream.getvalue()) == 512


@pytest.mark.parametrize("length", [99, 100, 101, 155, 200, 255, 256, 257])
def test_long_names_use_the_prefix_or_a_record(length):
    name = ("n" * 49 + "/") * 10
    entry = Entry(name[:length].rstrip("/") + "x", Kind.FILE, 0o644)
    ((found, _),) = tar.read(io.BytesIO(written([(entry, b"")])))
    assert found == entry


def test_folders_end_in_a_slash_unless_told_otherwise():
    root, folder = Entry("", Kind.DIRECTORY, 0o755), Entry("a", Kind.DIRECTORY, 0o755)
    items = [(root, b""), (folder, b"")]
    assert [data[:3] for data in blocks(written(items))] == [b"./\x00", b"a/\x00"]
    plain = written(items, folder_slash=False)
    assert [data[:3] for data in blocks(plain)] == [b".\x00\x00", b"a\x00\x00"]
    assert [entry for entry, _ in tar.read(io.BytesIO(plain))] == [root, folder]


def blocks(data: bytes) -> list[bytes]:
    return [data[start : start + 512] for start in range(0, len(data) - 1024, 512)]


def test_extra_records_are_written_sorted():
    stream = io.BytesIO()
    with Writer(stream) as writer:
        entry = Entry("d/f", Kind.FILE, 0o644)
        writer.add(entry, pax_extra={"X.b": b"2", "X.a": b"1"})
    with tarfile.open(fileobj=io.BytesIO(stream.getvalue())) as archive:
        assert archive.getmembers()[0].pax_headers == {"X.a": "1", "X.b": "2"}
    assert stream.getvalue().startswith(b"d/PaxHeaders.0/f\x00")
    assert stream.getvalue().index(b"X.a") < stream.getvalue().index(b"X.b")


@pytest.mark.parametrize("content", [b"", b"1234", b"123456"])
def test_content_of_another_size_is_refused(content):
    with pytest.raises(ValueError, match="not 5"):
        Writer(io.BytesIO()).add(Entry("f", Kind.FILE, 0o644, size=5), [content])


def test_a_block_that_raises_leaves_the_archive_open_ended():
    stream = io.BytesIO()
    with pytest.raises(RuntimeError), Writer(stream):
        raise RuntimeError
    assert stream.getvalue() == b""
