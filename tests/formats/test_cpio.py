import contextlib
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base.entry import Entry, Kind
from sampan.formats import cpio
from sampan.formats.cpio import CpioError, Inode

FILE = Entry("etc/hi", Kind.FILE, 0o4755, 1, 2, 5_000_000_000, 3)


def member(entry, content=b"", inode=None):
    size = len(content) if entry.kind is Kind.FILE else None
    return cpio.header(entry, inode or Inode(1), size) + content + cpio.padding(len(content))


def archive(*members):
    data = b"".join(members)
    return data + cpio.trailer(len(data))


def read(data):
    return [(one, b"".join(content)) for one, content in cpio.read(io.BytesIO(data))]


def test_header_bytes():
    assert cpio.header(FILE, Inode(7, (3, 1), 2), 3) == (
        b"070701" b"00000007" b"000089ED" b"00000001" b"00000002" b"00000002" b"00000005"
        b"00000003" b"00000003" b"00000001" b"00000000" b"00000000" b"00000007" b"00000000"
        b"etc/hi\0\0\0\0"
    )  # fmt: skip


def test_the_archive_ends_on_512_bytes():
    data = archive(member(FILE, b"abc"))
    assert len(data) == 512
    assert data.rstrip(b"\0").endswith(b"TRAILER!!!")


def test_the_root_is_a_dot():
    [(one, _)] = read(archive(member(Entry("", Kind.DIRECTORY, 0o755))))
    assert one.entry == Entry("", Kind.DIRECTORY, 0o755)


names = st.text("abcé/.", min_size=1, max_size=40).filter(lambda n: n not in (".", "TRAILER!!!"))
numbers = st.integers(0, 2**32 - 1)
inodes = st.builds(Inode, numbers, st.tuples(numbers, numbers), numbers)
seconds = numbers.map(lambda s: s * 10**9)
modes = st.integers(0, 0o7777)
others = st.one_of(
    st.builds(Entry, names, st.just(Kind.DIRECTORY), modes, numbers, numbers, seconds),
    st.builds(
        Entry, names, st.just(Kind.SYMLINK), modes, numbers, numbers, seconds, st.just(0), names
    ),
    st.builds(
        Entry, names, st.sampled_from([Kind.CHARACTER, Kind.BLOCK]), modes, numbers, numbers,
        seconds, st.just(0), st.just(""), st.tuples(numbers, numbers),
    ),
)  # fmt: skip


@given(st.lists(st.tuples(others, inodes), max_size=5), st.binary(max_size=99), inodes)
def test_what_is_written_is_read_back(plain, content, inode):
    file = Entry("f", Kind.FILE, 0o644, size=len(content))
    data = archive(*(member(entry, b"", i) for entry, i in plain), member(file, content, inode))
    found = read(data)
    assert [(one.entry, one.inode) for one, _ in found] == [*plain, (file, inode)]
    assert found[-1][1] == content


def test_archives_one_after_another_are_read_as_one():
    first, second = archive(member(FILE, b"abc")), archive(member(FILE, b"def"))
    assert [content for _, content in read(first + b"\0" * 8 + second)] == [b"abc", b"def"]


def test_contents_that_are_not_wanted_are_skipped():
    stream = io.BytesIO(archive(member(FILE, b"abc"), member(FILE, b"defg")))
    assert [one.entry.size for one, _ in cpio.read(stream)] == [3, 4]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"070702" + b"0" * 104, "not a cpio archive"),
        (b"070701" + b"x" * 104, "damaged header"),
        (b"070701" + b"-0000001" * 13, "damaged header"),
        (b"070701" + b"0" * 50, "ends early"),
        (b"070701" + b"F" * 104, "name that is too long"),
        (member(FILE, b"abc")[:-2], "ends early"),
        (member(FILE, b"abc").replace(b"000089ED", b"000000ED"), "unknown type"),
        (member(Entry("l", Kind.SYMLINK, 0o777, target="x" * 70_000)), "70000 bytes long"),
    ],
)
def test_damaged_archives(data, message):
    with pytest.raises(CpioError, match=message):
        read(data)


@given(st.binary(max_size=300))
def test_junk_never_does_more_than_raise(junk):
    for data in (junk, archive(member(FILE, b"abc"))[:200] + junk):
        with contextlib.suppress(CpioError):
            read(data)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Entry("big", Kind.FILE, 0o644, size=2**32), "4 GiB is the limit"),
        (Entry("n" * 4096, Kind.FILE, 0o644), "longer than 4095"),
        (Entry("o", Kind.FILE, 0o644, uid=2**32), "too large for cpio"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(entry, message):
    with pytest.raises(CpioError, match=message):
        cpio.header(entry, Inode(1))
