import os
import socket

import msgspec
import pytest

from sampan.errors import SampanError
from sampan.net.runtime.attach import visitor
from sampan.net.runtime.attach.namespace import Namespace
from sampan.net.runtime.attach.netns import Failure, Interface


@pytest.fixture
def parent():
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.send(msgspec.msgpack.encode(Interface(name="tap7")))
    yield ours, theirs
    ours.close()
    theirs.close()


class Target(Namespace):
    def __init__(self, error=None):
        super().__init__(-1, None, "there")
        self.error = error
        self.joined = False

    def join(self):
        if self.error:
            raise self.error
        self.joined = True


def test_it_hands_a_descriptor_back(parent, monkeypatch):
    made = []

    def make(interface):
        made.append(interface)
        return os.open(os.devnull, os.O_RDONLY)

    monkeypatch.setattr(visitor, "make", make)
    visitor.visit(parent[1], target := Target())
    data, [fd], _, _ = socket.recv_fds(parent[0], 100, 1)
    assert (data, target.joined) == (b"\0", True)
    assert made == [Interface(name="tap7")]
    assert os.readlink(f"/proc/self/fd/{fd}") == os.devnull  # noqa: PTH115
    os.close(fd)


def test_or_says_why_not(parent):
    visitor.visit(parent[1], Target(SampanError("not there", hint="go away")))
    assert msgspec.msgpack.decode(parent[0].recv(1000), type=Failure) == Failure(
        "not there", "go away"
    )


def test_its_command_line(parent, monkeypatch):
    seen = []
    monkeypatch.setattr(visitor, "visit", lambda *each: seen.append(tuple(map(str, each[1:]))))
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(2)]
    visitor.main([str(parent[1].detach()), *map(str, fds), "the network of process 7"])
    assert seen == [("the network of process 7",)]
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fds[0])
