"""INIT: what both sides can do."""

import pytest

from sampan.vhost.core.fuse.negotiation import WANTED, answer
from sampan.vhost.core.fuse.request import Request
from sampan.vhost.core.fuse.wire import INIT_IN, INIT_OUT, Feature, Op


def said(*numbers):
    return INIT_OUT.unpack(answer(Request(Op.INIT, 1, 0, 0, 0, 0, INIT_IN.pack(*numbers), [])))


def test_only_what_was_offered():
    assert said(7, 31, 4096, Feature.MAX_PAGES | 1 << 20)[:4] == (7, 38, 4096, Feature.MAX_PAGES)
    assert said(7, 45, 4096, 0xFFFFFFFF)[3] == WANTED
    assert said(7, 38, 0, 0xFFFFFFFF)[6:9] == (1 << 20, 1, 256)


def test_newer_and_older_kernels():
    assert said(8, 0, 0, 0)[:2] == (7, 38)
    for version in ((7, 30), (6, 99), (0, 0)):
        with pytest.raises(OSError, match="FUSE"):
            said(*version, 0, 0)
