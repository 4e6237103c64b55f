"""Requests as they lie in buffers."""

import errno
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.fuse.request import checked, cut, is_name, parse
from sampan.vhost.core.fuse.wire import IN_HEADER, MAX_REQUEST, SIZE, WRITE_IN, Op


def question(op, body, length=None):
    size = IN_HEADER.size + len(body) if length is None else length
    return IN_HEADER.pack(size, op, 7, 1, 10, 20, 30, 0, 0) + body


def pieces(data, *places):
    cuts = sorted({0, *(min(place, len(data)) for place in places), len(data)})
    return [memoryview(data[low:high]) for low, high in pairwise(cuts)]


@given(st.binary(max_size=100), st.lists(st.integers(0, 150), max_size=6))
def test_a_request_in_any_pieces(body, places):
    request = parse(pieces(question(Op.LOOKUP, body), *places))
    assert request[:6] == (Op.LOOKUP, 7, 1, 10, 20, 30)
    assert (request.body, request.data) == (body, [])


@given(st.binary(max_size=100), st.lists(st.integers(0, 200), max_size=6))
def test_data_stays_where_it_is(data, places):
    head = WRITE_IN.pack(5, 6, len(data), 0, 0, 0, 0)
    request = parse(pieces(question(Op.WRITE, head + data), *places))
    assert request.body == head
    assert b"".join(request.data) == data


def test_what_lies_behind_a_request_is_not_of_it():
    assert parse([memoryview(question(Op.LOOKUP, b"name\0", 45) + b"more")]).body == b"name\0"


@pytest.mark.parametrize("length", [0, 39, 46, MAX_REQUEST + 1, 0xFFFFFFFF])
def test_requests_that_are_none(length):
    with pytest.raises(RemoteProtocolError):
        parse([memoryview(question(Op.LOOKUP, b"name\0", length))])


def test_no_request_at_all():
    for buffers in ([], [memoryview(b"short")], [memoryview(b"")] * 3):
        with pytest.raises(RemoteProtocolError, match="lacks"):
            parse(buffers)


def test_a_write_without_its_head_is_one_that_makes_no_sense():
    request = parse([memoryview(question(Op.WRITE, b"short"))])
    with pytest.raises(OSError, match="no sense"):
        request.read(WRITE_IN)


def test_numbers_and_texts():
    request = parse([memoryview(question(Op.RENAME, SIZE.pack(3, 4) + b"old\0new\0rest"))])
    assert request.read(SIZE) == (3, 4)
    assert request.texts(SIZE.size, 2) == [b"old", b"new"]
    assert request.name(SIZE.size) == b"old"
    with pytest.raises(OSError, match="no sense"):
        request.texts(SIZE.size, 3)


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/", b"a\0"])
def test_no_names(name):
    assert not is_name(name)
    with pytest.raises(OSError, match="no sense") as refused:
        checked(name)
    assert refused.value.errno == errno.EINVAL


@pytest.mark.parametrize("name", [b"...", b"a", b"\xff", b" ", b"x" * 255, b"..a"])
def test_names(name):
    assert is_name(name)
    assert checked(name) == name


def test_a_name_that_is_too_long():
    with pytest.raises(OSError, match="too long") as refused:
        checked(b"x" * 256)
    assert refused.value.errno == errno.ENAMETOOLONG


@given(st.lists(st.binary(max_size=10), max_size=6), st.integers(0, 70), st.integers(0, 70))
def test_cutting(parts, start, end):
    whole = b"".join(parts)
    assert b"".join(cut([memoryview(part) for part in parts], start, end)) == whole[start:end]
