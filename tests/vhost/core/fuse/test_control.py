"""What a parent says to its share server, line by line."""

import json
import os
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core.error import RemoteProtocolError
from sampan.vhost.core.fuse.control import (
    MAX_ITEMS,
    MAX_LINE,
    Deed,
    Item,
    Lines,
    Stage,
    Teller,
    answer,
    parse,
)


def stage(*items):
    return json.dumps({"stage": list(items)}).encode()


def test_a_teller():
    assert parse(b'{"teller": ".sampan-1"}') == Teller(b".sampan-1")


def test_a_stage():
    line = stage(
        {"did": "create", "path": "a/b"},
        {"did": "rename", "path": "a", "to": "c/d", "folder": True},
    )
    assert parse(line) == Stage(
        (Item(Deed.CREATE, (b"a", b"b")), Item(Deed.RENAME, (b"a",), (b"c", b"d"), True))
    )


@pytest.mark.parametrize("deed", [each for each in Deed if each is not Deed.RENAME])
def test_every_deed(deed):
    assert parse(stage({"did": deed, "path": "x"})) == Stage((Item(deed, (b"x",)),))


def test_the_folder_itself():
    assert parse(stage({"did": "attrib", "path": ""})) == Stage((Item(Deed.ATTRIB, ()),))


def test_names_need_be_no_text():
    name = os.fsdecode(b"\xff\xfe")
    assert parse(stage({"did": "delete", "path": name})).items[0].path == (b"\xff\xfe",)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[" * 100_000, b"null", b"{}", b'{"teller": 1}', b'{"teller": "a/b"}',
        b'{"teller": ".."}', b'{"teller": ""}', b'{"teller": "a", "stage": []}', b'{"stage": {}}',
        b'{"stage": [1]}', b'{"teller": "\\ud800"}', b"\xff",
        stage({"did": "create"}), stage({"did": "create", "path": ""}), stage({"did": "eat", "path": "a"}),
        stage({"did": "create", "path": "a", "to": "b"}), stage({"did": "rename", "path": "a"}),
        stage({"did": "create", "path": "a", "more": 1}), stage({"did": "create", "path": "/a"}),
        stage({"did": "create", "path": "a/../b"}), stage({"did": "create", "path": "a\0"}),
        stage({"did": "create", "path": "x" * 256}), stage({"did": "create", "path": "x/" * 3000}),
        stage({"did": "rename", "path": "a", "to": 3}), stage({"did": "rename", "path": "a", "to": ""}),
        stage({"did": "rmdir", "path": "a", "folder": 1}),
        stage(*[{"did": "create", "path": "a"}] * (MAX_ITEMS + 1)),
    ],
)  # fmt: skip
def test_what_makes_no_sense(line):
    with pytest.raises(RemoteProtocolError):
        parse(line)


@given(st.binary(max_size=300))
def test_anything_is_an_order_or_refused(data):
    with suppress(RemoteProtocolError):
        assert isinstance(parse(data), Teller | Stage)


def test_answers_are_lines():
    assert answer(staged=2, left=0) == b'{"staged": 2, "left": 0}\n'


def test_lines_come_in_pieces():
    lines = Lines()
    assert list(lines.received(b"on")) == []
    assert list(lines.received(b"e\ntwo\nth")) == [b"one", b"two"]
    assert list(lines.received(b"ree\n")) == [b"three"]


def test_a_line_has_a_limit():
    lines = Lines()
    with pytest.raises(RemoteProtocolError, match="a line of more than"):
        list(lines.received(b"x" * (MAX_LINE + 1)))
