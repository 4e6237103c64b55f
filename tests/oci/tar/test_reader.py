import io
import tarfile
from typing import IO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.base.entry import Entry, Kind
from sampan.oci import tar
from sampan.oci.limit import LimitError, Limits
from sampan.oci.tar import InvalidTarError, pax
from sampan.oci.tar.header import Header, encode, padding

KINDS = {
    tarfile.REGTYPE: Kind.FILE, tarfile.DIRTYPE: Kind.DIRECTORY, tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.LNKTYPE: Kind.HARDLINK, tarfile.CHRTYPE: Kind.CHARACTER, tarfile.BLKTYPE: Kind.BLOCK,
    tarfile.FIFOTYPE: Kind.FIFO,
}  # fmt: skip
PART = st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=60)
NAME = st.lists(PART.filter(lambda part: part not in (".", "..")), min_size=1, max_size=5).map(
    "/".join
)


@st.composite
def tar_infos(draw):
    info = tarfile.TarInfo(draw(NAME))
    info.type = draw(st.sampled_from(sorted(KINDS)))
    if info.type in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        info.linkname = draw(NAME)
    info.mode = draw(st.integers(0, 0o7777))
    info.uid, info.gid = draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**22))
    info.mtime = draw(st.integers(0, 2**33))
    info.uname = draw(st.text("abcdé", max_size=10))
    if info.isdev():
        info.devmajor, info.devminor = draw(st.integers(0, 255)), draw(st.integers(0, 2**20))
    content = draw(st.binary(max_size=1200)) if info.isreg() else b""
    info.size = len(content)
    return info, content


def archive(infos, format_) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format_) as out:
        for info, content in infos:
            out.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def blocks(*headers: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(headers) + bytes(1024))


def extended(records, *, kind=b"x") -> bytes:
    body = pax.encode(records)
    return encode(Header(b"pax", size=len(body), type=kind)) + body + bytes(padding(len(body)))


def only(stream: IO[bytes]) -> Entry:
    ((entry, _),) = tar.read(stream)
    return entry


@pytest.mark.parametrize("format_", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@given(st.lists(tar_infos(), max_size=4))
@settings(max_examples=60)
def test_archives_of_the_standard_library_are_read(format_, infos):
    found = [
        (entry, content.read())
        for entry, content in tar.read(io.BytesIO(archive(infos, format_)), what="it")
    ]
    assert len(found) == len(infos)
    for (entry, data), (info, content) in zip(found, infos, strict=True):
        assert entry.name == info.name
        assert entry.kind is KINDS[info.type]
        assert entry.target == info.linkname
        assert (entry.mode, entry.uid, entry.gid) == (info.mode, info.uid, info.gid)
        assert entry.mtime_ns == info.mtime * 10**9
        assert entry.uname == info.uname
        assert (entry.size, data) == (len(content), content)
        if info.type in (tarfile.CHRTYPE, tarfile.BLKTYPE):
            assert entry.device == (info.devmajor, info.devminor)


def test_content_that_is_not_read_is_skipped_and_offsets_are_true():
    infos = []
    for index in range(5):
        info = tarfile.TarInfo(f"f{index}")
        info.size = 700 * index
        infos.append((info, bytes([index]) * info.size))
    data = archive(infos, tarfile.PAX_FORMAT)
    for index, (entry, content) in enumerate(tar.read(io.BytesIO(data))):
        assert data[content.offset : content.offset + entry.size] == infos[index][1]
        if index == 3:
            assert b"".join(content.chunks(100)) == infos[index][1]
        if index == 4:
            assert content.read(10) == b"\x04" * 10


class Drip(io.RawIOBase):
    """A pipe: not seekable, gives at most seven bytes at a time."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, 7))


def test_a_pipe_is_read():
    info = tarfile.TarInfo("f")
    info.size = 2000
    pipe = Drip(archive([(info, b"x" * 2000)], tarfile.PAX_FORMAT))
    ((entry, content),) = [
        (entry, content.read()) for entry, content in tar.read(cast("IO[bytes]", pipe))
    ]
    assert entry.name == "f"
    assert content == b"x" * 2000


@pytest.mark.parametrize(
    ("name", "clean"),
    [(b"./a", "a"), (b"/a/b", "a/b"), (b"a//b/", "a/b"), (b"./", ""), (b".", ""), (b"/", ""),
     (b"a/./b", "a/b"), (b"a..b", "a..b"), (b"..a", "..a"), (b"\xff\xfe", "\udcff\udcfe")],
)  # fmt: skip
def test_names_are_cleaned(name, clean):
    kind = b"5" if not clean or name.endswith(b"/") else b"0"
    assert only(blocks(encode(Header(name, type=kind)))).name == clean


def test_old_folders_are_files_that_end_in_a_slash():
    assert only(blocks(encode(Header(b"a/", type=b"\x00")))).kind is Kind.DIRECTORY


def test_pax_records_override_the_block():
    records = {
        "path": "ä/b".encode(), "mtime": b"1.25", "uid": b"3000000", "gid": b"7",
        "uname": "ü".encode(), "gname": b"g", "SCHILY.xattr.user.a": b"\x00\xff",
    }  # fmt: skip
    entry = only(blocks(extended(records), encode(Header(b"x", uid=1))))
    assert (entry.name, entry.mtime_ns, entry.uid, entry.gid) == ("ä/b", 1_250_000_000, 3000000, 7)
    assert (entry.uname, entry.gname) == ("ü", "g")
    assert entry.xattrs == (("user.a", b"\x00\xff"),)


def test_global_records_hold_for_all_that_follow_and_a_local_one_wins():
    stream = blocks(
        extended({"gname": b"all", "mtime": b"5"}, kind=b"g"),
        encode(Header(b"a")),
        extended({"gname": b"own"}),
        encode(Header(b"b")),
    )
    a, b = [entry for entry, _ in tar.read(stream)]
    assert (a.gname, a.mtime_ns) == ("all", 5 * 10**9)
    assert (b.gname, b.mtime_ns) == ("own", 5 * 10**9)


def test_a_time_beyond_what_nanoseconds_hold_becomes_the_nearest():
    assert only(blocks(encode(Header(b"a", mtime=-62135596800)))).mtime_ns == -(2**63 - 1)


def test_links_and_folders_have_no_content_whatever_their_size_says():
    stream = blocks(encode(Header(b"a", type=b"1", target=b"/b", size=99)), encode(Header(b"c")))
    link, after = [entry for entry, _ in tar.read(stream)]
    assert (link.target, link.size, after.name) == ("b", 0, "c")


def test_an_archive_may_lack_its_end():
    assert only(io.BytesIO(encode(Header(b"a")))).name == "a"
    assert list(tar.read(io.BytesIO(b""))) == []


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        (io.BytesIO(b"not a tar" * 100), "checksum"),
        (io.BytesIO(encode(Header(b"a"))[:100]), "in the middle of a header"),
        (io.BytesIO(encode(Header(b"a", size=9)) + b"1234"), "ends too early"),
        (io.BytesIO(encode(Header(b"a", size=9 << 20)) + b"1234"), "ends too early"),
        (io.BytesIO(bytes(512) + encode(Header(b"a"))), "stands alone"),
        (blocks(encode(Header(b"../a"))), "leads out of its tree"),
        (blocks(encode(Header(b"a/../../b"))), "leads out of its tree"),
        (blocks(encode(Header(b"a", type=b"1", target=b"../b"))), "leads out of its tree"),
        (blocks(encode(Header(b"./"  , type=b"2", target=b"x"))), "names the root"),
        (blocks(encode(Header(b"a", type=b"2"))), "no usable target"),
        (blocks(extended({"path": b"a\0b"}), encode(Header(b"a"))), "a NUL in its name"),
        (blocks(extended({"path": b"d/" + b"n" * 256}), encode(Header(b"a"))), "name has 256 bytes"),
        (blocks(encode(Header(b"a", type=b"S"))), "sparse files are not supported"),
        (blocks(extended({"GNU.sparse.major": b"1"}), encode(Header(b"a"))), "sparse"),
        (blocks(encode(Header(b"a", type=b"M"))), "unknown type b'M'"),
        (blocks(encode(Header(b"a", type=b"3", size=3))), "no file but has 3 bytes"),
        (blocks(encode(Header(b"a", type=b"3", device=(2**40, 0)))), "device numbers"),
        (blocks(encode(Header(b"a", size=-5))), "impossible size"),
        (blocks(encode(Header(b"a", uid=-1))), "no user or group"),
        (blocks(extended({"uid": b"4294967296"}), encode(Header(b"a"))), "no user or group"),
        (blocks(encode(Header(b"a", type=b"x", size=-1))), "size below zero"),
    ],
)  # fmt: skip
def test_a_bad_archive_is_refused(stream, said):
    with pytest.raises(InvalidTarError, match="layer 7: ") as caught:
        for _ in tar.read(stream, what="layer 7"):
            pass
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("limits", "stream", "said"),
    [
        (Limits(entries=1), blocks(encode(Header(b"a")), encode(Header(b"b"))), "more than 1 entr"),
        (Limits(name_bytes=5), blocks(encode(Header(b"abcdef"))), "a name of 6 bytes is over 5"),
        (Limits(header_bytes=600), blocks(extended({"a": b"x" * 600})), "extended header"),
        (Limits(header_bytes=2000), blocks(extended({"a": b""}) * 4), "extended header"),
        (Limits(header_bytes=2000), blocks(encode(Header(b"a", type=b"L", size=2**60))), "header"),
        (Limits(total_bytes=900), blocks(encode(Header(b"a"))), "900 B uncompressed"),
        (Limits(metadata_bytes=3), blocks(encode(Header(b"ab")), encode(Header(b"cd"))), "names"),
    ],
)  # fmt: skip
def test_a_bomb_is_refused_and_the_limit_named(limits, stream, said):
    with pytest.raises(LimitError, match="layer 7: ") as caught:
        for _ in tar.read(stream, limits=limits, what="layer 7"):
            pass
    assert said in str(caught.value)


def test_a_file_larger_than_the_limit_is_refused_before_it_is_read():
    stream = blocks(encode(Header(b"a", size=5000)))
    with pytest.raises(InvalidTarError, match="impossible size, 5000"):
        list(tar.read(stream, limits=Limits(total_bytes=4000)))


def test_gnu_long_names_and_volume_labels():
    long = b"n" * 200 + b"/" + b"n" * 99
    stream = blocks(
        encode(Header(b"label", type=b"V")),
        encode(Header(b"././@LongLink", size=301, type=b"L")) + long + bytes(1 + padding(301)),
        encode(Header(b"././@LongLink", size=301, type=b"K")) + long + bytes(1 + padding(301)),
        encode(Header(b"short", type=b"2", target=b"short")),
    )
    entry = only(stream)
    assert entry.name == entry.target == long.decode()
