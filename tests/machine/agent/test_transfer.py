"""Copies with a guest that answers as it likes; true ones are in test_client."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sampan.base.agent import tree
from sampan.machine.agent import transfer
from sampan.machine.agent.error import AgentError


class Fake:
    def __init__(self, *said, code=0, takes=True):
        self.said = list(said)
        self.code = code
        self.takes = takes
        self.written = b""
        self.ended = False

    async def read(self):
        return self.said.pop(0) if self.said else None

    async def write(self, data):
        self.written += data
        return self.takes

    def end(self):
        self.ended = True

    async def answer(self):
        return {"code": self.code}


def fake(*said: object, **how: object) -> Any:
    return Fake(*said, **how)


@pytest.mark.parametrize(
    ("path", "name"), [("/a/b", "b"), ("/a/b/", "b"), ("b", "b"), ("/a b/c.tar", "c.tar")]
)
def test_names(path, name):
    assert transfer.base_name(path) == name


@pytest.mark.parametrize("path", ["/", "", "..", "/a/..", "."])
def test_paths_without_a_name(path):
    with pytest.raises(AgentError, match="has no name"):
        transfer.base_name(path)


def test_all_is_sent(tmp_path):
    (tmp_path / "file").write_bytes(bytes(600_000))
    channel = fake()
    asyncio.run(transfer.send(channel, str(tmp_path)))
    assert channel.written == b"".join(tree.pack(str(tmp_path)))
    assert channel.ended


def test_a_guest_that_refuses_is_heard(tmp_path):
    (tmp_path / "file").write_bytes(bytes(1_000_000))
    channel = fake((2, b"disk full\n"), code=1, takes=False)
    with pytest.raises(AgentError, match=r"in the machine: disk full$"):
        asyncio.run(transfer.send(channel, str(tmp_path)))
    assert len(channel.written) < 600_000
    opened = [each.resolve() for each in Path("/proc/self/fd").iterdir()]
    assert tmp_path / "file" not in opened


def test_a_guest_that_does_not_say_why():
    with pytest.raises(AgentError, match="it did not say why"):
        asyncio.run(transfer.work(fake(code=1)))


@pytest.mark.parametrize(
    ("said", "code", "why"),
    [
        ([(1, b"\x02\x00no")], 0, "cannot copy to .*: the sender's description"),
        ([], 0, "the copy broke off in the machine"),
        ([(2, b"no such file\n")], 1, "in the machine: no such file"),
        ([(2, b"x" * 9000)], 1, "in the machine: x{4096}$"),
    ],
)
def test_what_a_guest_may_send(tmp_path, said, code, why):
    channel = fake(*said, code=code)
    with pytest.raises(AgentError, match=why):
        asyncio.run(transfer.receive(channel, str(tmp_path / "x"), "x", tree.Limits()))
    assert list(tmp_path.iterdir()) == []
