"""Answers, and where they go."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.fuse import reply, wire
from sampan.vhost.core.fuse.reply import Owner, Patience


def test_attributes(tmp_path):
    os.utime(tmp_path, ns=(-1, 5_000_000_006))
    status = tmp_path.stat()
    fields = wire.ATTRIBUTES.unpack(reply.attributes(status, Owner(0o40750, 1, 2, 3), 99))
    assert fields[:3] == (99, status.st_size, status.st_blocks)
    assert (fields[3], fields[6]) == ((1 << 64) - 1, 999_999_999)  # a nanosecond before 1970
    assert (fields[4], fields[7]) == (5, 6)
    assert fields[9:14] == (0o40750, status.st_nlink, 1, 2, 3)


def test_what_is_made_up():
    fields = wire.ATTRIBUTES.unpack(reply.made_up(0o100600, 12))
    assert (fields[0], fields[9], fields[10]) == (12, 0o100600, 1)


def test_entries_and_their_patience():
    patience = Patience.of(1.25)
    assert patience == (1, 250_000_000)
    found = reply.entry_out(7, reply.made_up(0o100600, 7), patience)
    assert len(found) == 128
    assert wire.ENTRY_OUT.unpack_from(found) == (7, 0, 1, 1, 250_000_000, 250_000_000)
    assert reply.mode(found) == 0o100600
    assert len(reply.attributes_out(reply.made_up(0, 7), patience)) == 104


def test_handles_and_file_systems(tmp_path):
    assert wire.OPEN_OUT.unpack(reply.open_out(3, 2)) == (3, 2, 0)
    assert len(reply.statfs_out(os.statvfs(tmp_path))) == 80


@given(st.binary(min_size=1, max_size=255), st.booleans())
def test_entries_of_folders(name, plus):
    entry = reply.folder_entry(
        name, 5, 6, 8, reply.entry_out(1, bytes(88), reply.AT_ONCE) if plus else None
    )
    assert len(entry) == reply.entry_size(name, plus=plus)
    assert len(entry) % 8 == 0
    start = 128 if plus else 0
    assert wire.DIRENT.unpack_from(entry, start) == (5, 6, len(name), 8)
    assert entry[start + 24 :].rstrip(b"\0") == name.rstrip(b"\0")


def test_headers():
    assert reply.success(9, b"body") == wire.OUT_HEADER.pack(20, 0, 9) + b"body"
    assert reply.failure(9, 2) == wire.OUT_HEADER.pack(16, -2, 9)


@given(st.binary(min_size=1, max_size=60), st.lists(st.integers(0, 20), max_size=10))
def test_an_answer_in_any_room(data, sizes):
    room = [memoryview(bytearray(size)) for size in sizes]
    if sum(sizes) < len(data):
        with pytest.raises(RemoteProtocolError, match="room for"):
            reply.scatter(room, data)
    else:
        assert reply.scatter(room, data) == len(data)
        assert b"".join(room)[: len(data)] == data
