"""What a parent says to a share's server, over a socket."""

import json
import socket

import pytest

from sampan.vhost.core.fuse.control import MAX_LINE
from sampan.vhost.runtime.fuse.control import Control
from sampan.vhost.runtime.fuse.teller import Teller


class Parent:
    def __init__(self, loop, kernel):
        self.loop = loop
        self.ends = 0
        self.socket, ours = socket.socketpair()
        self.socket.setblocking(False)
        self.teller = Teller(kernel.share, lambda: 0.0)
        self.control = Control(loop, ours, self.teller, self.is_own, self.ended)

    def is_own(self, item):
        return item.path[-1].startswith(b"own")

    def ended(self):
        self.ends += 1

    def say(self, data):
        self.socket.sendall(data)
        self.loop.run_dry()

    def ask(self, **order):
        self.say(json.dumps(order).encode() + b"\n")
        return json.loads(self.socket.recv(1 << 16))


@pytest.fixture
def parent(loop, kernel):
    parent = Parent(loop, kernel)
    yield parent
    parent.control.close()
    parent.socket.close()


def created(*names):
    return [{"did": "create", "path": name} for name in names]


def test_orders_are_answered(parent):
    assert parent.ask(teller=".token") == {"teller": ".token"}
    assert parent.ask(stage=created("a", "b")) == {"staged": 2, "own": [], "left": 0}
    assert parent.ask(stage=created("own1", "c", "own2")) == {"staged": 1, "own": [0, 2], "left": 2}
    assert "error" in parent.ask(stage=[{}])
    assert parent.ask(stage=[]) == {"staged": 0, "own": [], "left": 1}


def test_orders_come_in_pieces(parent):
    line = json.dumps({"stage": created("a")}).encode() + b"\n"
    parent.say(line[:10])
    with pytest.raises(BlockingIOError):
        parent.socket.recv(100)
    parent.say(line[10:] + line)
    assert parent.socket.recv(1000).count(b"staged") == 2


def test_a_parent_that_hangs_up(parent):
    parent.socket.close()
    parent.loop.run_dry()
    parent.control.close()
    assert parent.ends == 1


def test_a_parent_that_never_ends_a_line(parent):
    parent.socket.setblocking(True)
    for _ in range(MAX_LINE // 8192):
        parent.say(b"x" * 8192)
    assert parent.ends == 0
    parent.say(b"x")
    assert parent.ends == 1


def test_a_parent_that_reads_no_answers(parent):
    while not parent.ends:
        parent.say(b"{}\n" * 100)
    assert parent.ends == 1
