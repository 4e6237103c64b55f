import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.package import trie


def decode(data):
    """Every entry of an index, read as libkmod reads it."""
    magic, version, root = struct.unpack_from(">III", data)
    assert (magic, version) == (0xB007F457, 0x00020001)
    found: list[tuple[str, str, int]] = []
    _node(data, root, b"", found)
    return found


def _text(data, place):
    end = data.index(b"\0", place)
    return data[place:end], end + 1


def _word(data, place):
    return struct.unpack_from(">I", data, place)[0], place + 4


def _node(data, reference, path, found):
    place = reference & 0x0FFFFFFF
    children = []
    if reference & 0x80000000:
        prefix, place = _text(data, place)
        path += prefix
    if reference & 0x20000000:
        first, last = data[place], data[place + 1]
        place += 2
        for letter in range(first, last + 1):
            child, place = _word(data, place)
            if child:
                children.append((child, path + bytes([letter])))
    if reference & 0x40000000:
        count, place = _word(data, place)
        for _ in range(count):
            priority, place = _word(data, place)
            value, place = _text(data, place)
            found.append((path.decode(), value.decode(), priority))
    for child, longer in children:
        _node(data, child, longer, found)


def test_the_empty_index():
    assert trie.encode([]) == bytes.fromhex("b007f457 00020001 0000000c")


def test_one_entry():
    assert trie.encode([("ab", "v", 3)]) == bytes.fromhex(
        "b007f457 00020001 2000 0018"
        "6200 00000001 00000003 7600"  # the child: the prefix b, one value
        "6161 c000000c"  # the root: children from a to a
    )


ENTRIES = st.lists(
    st.tuples(st.text("ab:*", max_size=6), st.text("xy", max_size=3), st.integers(0, 2**32 - 1))
)


@settings(max_examples=300)
@given(ENTRIES)
def test_what_is_written_can_be_read(entries):
    assert sorted(decode(trie.encode(entries))) == sorted(entries)


@settings(max_examples=50)
@given(ENTRIES)
def test_the_order_does_not_matter(entries):
    assert trie.encode(entries) == trie.encode(reversed(entries))


@pytest.mark.parametrize(("key", "value"), [("é", "x"), ("a\0", "x"), ("a", "\0")])
def test_what_cannot_be_written_is_refused(key, value):
    with pytest.raises(ValueError, match="cannot be a key"):
        trie.encode([(key, value, 0)])
