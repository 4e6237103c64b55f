"""The binary indexes of kmod (`modules.dep.bin`, …): kmod's modprobe reads these, not the texts.

A trie over the keys' bytes, written children first, so that a node can name their places. Pure.
(kmod, libkmod/libkmod-index.c, format 2.1; all numbers big-endian.)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

_MAGIC = 0xB007F457
_VERSION = 2 << 16 | 1
_HAS_PREFIX, _HAS_VALUES, _HAS_CHILDREN = 0x80000000, 0x40000000, 0x20000000
_MAX_OFFSET = 0x0FFFFFFF
_WORD = struct.Struct(">I")
_HEADER = struct.Struct(">III")


@dataclass(slots=True)
class _Node:
    prefix: bytes = b""
    children: dict[int, _Node] = field(default_factory=dict)
    values: list[tuple[int, bytes]] = field(default_factory=list)


def encode(entries: Iterable[tuple[str, str, int]]) -> bytes:
    """An index of `entries`: key, value and priority (the lowest number comes first).

    Keys and values are ASCII without NUL; a key may come more than once.

    Raises:
        ValueError: a key or value cannot be written, or the index grows beyond 256 MiB.
    """
    root = _Node()
    for key, value, priority in entries:
        if not key.isascii() or "\0" in key or "\0" in value:
            raise ValueError(f"{key!r} cannot be a key of a module index")
        _insert(root, key.encode(), value.encode(), priority)
    out = bytearray(_HEADER.size)
    place = _write(root, out)
    if len(out) > _MAX_OFFSET:
        raise ValueError("a module index has at most 256 MiB")
    _HEADER.pack_into(out, 0, _MAGIC, _VERSION, place)
    return bytes(out)


def _insert(node: _Node, key: bytes, value: bytes, priority: int) -> None:
    while True:
        common = _common(node.prefix, key)
        if common < len(node.prefix):
            _split(node, common)
        key = key[common:]
        if not key:
            node.values.append((priority, value))
            return
        child = node.children.get(key[0])
        if child is None:
            node.children[key[0]] = _Node(key[1:], values=[(priority, value)])
            return
        node, key = child, key[1:]


def _split(node: _Node, length: int) -> None:
    """Let `node` end after `length` bytes of its prefix; the rest becomes its child."""
    rest = _Node(node.prefix[length + 1 :], node.children, node.values)
    node.children = {node.prefix[length]: rest}
    node.prefix, node.values = node.prefix[:length], []


def _common(first: bytes, second: bytes) -> int:
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length


def _write(node: _Node, out: bytearray) -> int:
    """Append `node` after its children; its place, with what it has in the upper bits."""
    places = {letter: _write(child, out) for letter, child in sorted(node.children.items())}
    place = len(out)
    if node.prefix:
        out += node.prefix + b"\0"
        place |= _HAS_PREFIX
    if places:
        first, last = min(places), max(places)
        out += bytes((first, last))
        for letter in range(first, last + 1):
            out += _WORD.pack(places.get(letter, 0))
        place |= _HAS_CHILDREN
    if node.values:
        out += _WORD.pack(len(node.values))
        for priority, value in sorted(node.values):
            out += _WORD.pack(priority) + value + b"\0"
        place |= _HAS_VALUES
    return place
