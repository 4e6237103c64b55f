from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services.httphead import NO_BODY, Delimiter, Framing
from sampan.net.services.httpmessage import DONE, MAX_HEAD, Body, Head, Reader
from sampan.net.wire.error import MalformedError

CHUNKED = b"5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n"
FRAMINGS = {b"N": NO_BODY, b"L": Framing(length=4), b"C": Framing(Delimiter.CHUNKS)}
STREAM = b"N\r\n\r\n\r\nL\r\n\r\nabcdC x\r\n\r\n" + CHUNKED + b"N\r\n\r\n"


def read(data, size=10**6, reader=None):
    """Heads, bodies (with the sizes of their content) and ends, parts of a body joined."""
    reader = reader or Reader()
    seen: list[Any] = []
    for start in range(0, len(data), size):
        reader.feed(data[start : start + size])
        while (piece := reader.next()) is not None:
            if isinstance(piece, Head):
                reader.begin_body(FRAMINGS.get(piece.raw[:1], Framing(Delimiter.END)))
                seen.append(piece.raw)
            elif isinstance(piece, Body):
                if not isinstance(seen[-1], list):
                    seen.append([b"", 0])
                seen[-1][0] += bytes(piece.data)
                seen[-1][1] += piece.size
            else:
                seen.append(DONE)
    return seen


@given(st.integers(1, len(STREAM)))
def test_messages_however_cut(size):
    assert read(STREAM, size) == [
        b"N\r\n\r\n", DONE,
        b"L\r\n\r\n", [b"abcd", 4], DONE,
        b"C x\r\n\r\n", [CHUNKED, 15], DONE,
        b"N\r\n\r\n", DONE,
    ]  # fmt: skip


def test_a_body_that_ends_with_the_connection():
    fresh, reader = Reader(), Reader()
    assert (fresh.is_between, fresh.ended()) == (True, False)
    assert read(b"E\r\n\r\nabc\r\n\r\n", 4, reader)[1:] == [[b"abc\r\n\r\n", 7]]
    assert (reader.is_between, reader.ended()) == (False, True)


def test_bodies_can_be_skipped():
    reader = Reader()
    assert not reader.skip(1)
    assert read(b"L\r\n\r\n", reader=reader) == [b"L\r\n\r\n"]
    assert reader.skip(3)
    assert not reader.skip(1)
    chunked = Reader()
    read(b"C\r\n\r\n5\r\n", reader=chunked)
    assert chunked.skip(4)
    assert not chunked.skip(1)
    assert not chunked.skip(9)
    until = Reader()
    read(b"E\r\n\r\n", reader=until)
    assert until.skip(10**9)


def test_what_was_not_read_is_given_back():
    reader = Reader()
    reader.feed(b"N\r\n\r\nthe rest")
    reader.next()
    reader.begin_body(NO_BODY)
    assert reader.rest() == b"the rest"
    assert reader.next() is DONE
    reader.feed(b"N\r")
    assert reader.next() is None
    assert not reader.is_between
    assert reader.rest() == b"N\r"


@pytest.mark.parametrize("size", [1, 100, 10**6])
def test_heads_are_bounded_however_cut(size):
    fits = b"N" * 996 + b"\r\n\r\n"
    assert read(fits, size, Reader(1000)) == [fits, DONE]
    with pytest.raises(MalformedError, match="does not end"):
        read(b"N" + fits, size, Reader(1000))


@pytest.mark.parametrize(
    "body",
    [b"x\r\n", b"-1\r\n", b"\r\n", b"2\r\nabc\r\n", b"1\r\na\n\r\n", b"0" * 20 + b"\r\n"],
)
def test_chunks_that_are_none(body):
    reader = Reader()
    with pytest.raises(MalformedError):
        read(b"C\r\n\r\n" + body + b"more", reader=reader)
    assert (b"C\r\n\r\n" + body + b"more").endswith(reader.rest())


@pytest.mark.parametrize("rest", [b"5" * MAX_HEAD, b"0\r\n" + b"a: b\r\n" * MAX_HEAD])
def test_lines_around_chunks_are_bounded(rest):
    with pytest.raises(MalformedError, match="does not end"):
        read(b"C\r\n\r\n" + rest, 5000)


@given(st.binary(max_size=60), st.integers(1, 60))
def test_noise_reads_the_same_however_cut(noise, size):
    def outcome(step):
        try:
            return read(b"C\r\n\r\n5\r\nhello\r\n" + noise, step)
        except MalformedError as error:
            return str(error)

    assert outcome(size) == outcome(10**6)
