"""Owners and modes beside files."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core.fuse import record
from sampan.vhost.core.fuse.record import Host
from sampan.vhost.core.fuse.reply import Owner

KINDS = (stat.S_IFREG, stat.S_IFDIR, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK)
U32 = st.integers(0, 0xFFFFFFFF)
NUMBERS = st.builds(record.pack_device, st.integers(0, 0xFFF), st.integers(0, 0xFFFFF))


@st.composite
def owners(draw):
    kind = draw(st.sampled_from(KINDS))
    device = draw(NUMBERS) if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0
    return Owner(kind | draw(st.integers(0, 0o7777)), draw(U32), draw(U32), device)


@given(owners())
def test_a_record_says_what_was_written(owner):
    data = record.emit(owner)
    assert len(data) <= record.MAX_BYTES
    assert record.parse(data) == owner


@given(owners())
def test_the_guest_sees_what_it_made(owner):
    host = Host(record.kept(owner.mode), ours=True)
    assert record.shown(host, owner) == owner
    assert record.needed(owner) == (record.shown(host, None) != owner)


@given(st.binary(max_size=70))
def test_any_record_is_one_or_none(data):
    owner = record.parse(data)
    assert owner is None or record.parse(record.emit(owner)) == owner


@pytest.mark.parametrize(
    "data",
    [b"", b"0", b"0:0", b"0:0:9", b"0:0:100644 ", b"-1:0:100644", b"4294967296:0:100644",
     b"0:0:200000", b"0:0:20666", b"0:0:100644:1:3", b"0:0:20666:1", b"\xff:0:100644"],
)  # fmt: skip
def test_what_is_no_record(data):
    assert record.parse(data) is None


def test_a_record_in_words():
    assert record.emit(Owner(0o104755, 999, 998)) == b"999:998:104755"
    assert record.emit(Owner(0o20666, 0, 0, record.pack_device(1, 3))) == b"0:0:20666:1:3"


def test_without_a_record():
    assert record.default(Host(0o100640, ours=True)) == Owner(0o100640, 0, 0)
    assert record.default(Host(0o100640, ours=False)) == Owner(0o100640, 65534, 65534)


def test_what_the_host_has_changed():
    owner = Owner(0o104750, 5, 6)
    assert record.shown(Host(0o100700, ours=True), owner) == Owner(0o104700, 5, 6)
    assert record.shown(Host(0o40700, ours=True), owner) == Owner(0o40700, 0, 0)  # another file


@pytest.mark.parametrize(
    ("mode", "kept"),
    [(0o100000, 0o100600), (0o104755, 0o100755), (0o40000, 0o40700), (0o41777, 0o40777),
     (0o20644, 0o100644), (0o10444, 0o100644)],
)  # fmt: skip
def test_what_the_host_keeps(mode, kept):
    assert record.kept(mode) == kept


@pytest.mark.parametrize(
    ("mode", "after"),
    [(0o106755, 0o100755), (0o102644, 0o102644), (0o46755, 0o46755), (0o100644, 0o100644)],
)
def test_privileges(mode, after):
    assert record.without_privileges(mode) == after


@pytest.mark.parametrize(
    ("guest", "host"),
    [(b"user.a", b"user.a"), (b"security.a", b"user.sampan.of.security.a"),
     (b"trusted.a", b"user.sampan.of.trusted.a")],
)  # fmt: skip
def test_names_on_both_sides(guest, host):
    assert record.on_host(guest) == host
    assert record.in_guest(host) == guest
    assert not record.hidden(host)


@pytest.mark.parametrize("name", [record.NAME, b"user.sampan.x", b"user.sampan."])
def test_names_that_are_hidden(name):
    assert record.on_host(name) is None
    assert record.in_guest(name) is None
    assert record.hidden(name)


def test_what_the_guest_calls_by_a_hidden_name():
    assert record.on_host(b"user.sampan.of.security.a") is None
    assert record.on_host(b"system.a") is None


@pytest.mark.parametrize(("major", "minor", "packed"), [(1, 3, 0x103), (259, 70000, 0x111_1_03_70)])
def test_numbers_of_devices(major, minor, packed):
    found = record.pack_device(major, minor)
    assert (found >> 8 & 0xFFF, found & 0xFF | found >> 12 & 0xFFF00) == (major, minor)
