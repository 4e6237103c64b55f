import asyncio
from typing import Any

import pytest

from sampan.machine.agent import program
from sampan.machine.agent.error import AgentError, AgentLostError
from sampan.machine.agent.program import Command, ExecError, ExecResult, Program, Window


class Fake:
    """Says what it is told to, and takes `taken` bytes."""

    def __init__(self, *said, result=None, taken=1 << 20):
        self.said = list(said)
        self.result = {"code": 0} if result is None else result
        self.taken = taken
        self.notes = []
        self.written = b""

    async def read(self):
        await asyncio.sleep(0)
        each = self.said.pop(0) if self.said else None
        if isinstance(each, Exception):
            raise each
        return each

    async def write(self, data):
        self.written += data[: self.taken]
        if self.taken == 0:
            await asyncio.Event().wait()  # it never reads
        return True

    async def answer(self):
        return self.result

    def end(self):
        self.notes.append("end")

    def note(self, **values):
        self.notes.append(values)


def fake(*said: object, **how: object) -> Any:
    return Fake(*said, **how)


def test_what_a_command_says():
    command = Command(argv=("a",), env={"A": "b"}, cwd="/c", user="d", container="e")
    assert command.params(has_input=True) == {
        "argv": ("a",), "env": {"A": "b"}, "cwd": "/c", "user": "d", "container": "e",
        "input": True,
    }  # fmt: skip
    params = Command(argv=("a",), terminal=Window(3, 4)).params(has_input=False)
    assert (params["terminal"], params["rows"], params["columns"]) == (True, 3, 4)


def test_run_gathers_and_feeds():
    channel = fake((1, b"a"), (2, b"b"), (1, b"c"), result={"code": 9})
    assert asyncio.run(program.run(Program(channel), b"in", 10)) == (b"ac", b"b", 9)
    assert (channel.written, channel.notes) == (b"in", ["end"])


def test_run_with_who_never_reads():
    assert asyncio.run(program.run(Program(fake(taken=0)), b"in", 10)) == (b"", b"", 0)


@pytest.mark.parametrize(
    ("said", "kind"), [((1, b"x" * 11), AgentError), (AgentLostError("gone"), AgentLostError)]
)
def test_run_ends_with_one_error(said, kind):
    with pytest.raises(kind, match=r"said more than 10 bytes|gone"):
        asyncio.run(program.run(Program(fake(said)), b"", 10))


@pytest.mark.parametrize("result", [{}, {"code": "0"}, {"code": -1}, {"code": 256}])
def test_statuses_that_are_none(result):
    with pytest.raises(AgentError, match="makes no sense"):
        asyncio.run(Program(fake(result=result)).wait())


def test_what_a_program_is_told():
    channel = fake()
    running = Program(channel)
    running.resize(Window(1, 2))
    running.signal(15)
    running.end_input()
    assert channel.notes == [{"rows": 1, "columns": 2}, {"signal": 15}, "end"]


def test_results():
    result = ExecResult(stdout=b" out\xff\n", stderr=b"", code=2, duration_s=0.1)
    assert result.text == "out\ufffd"
    assert str(ExecError(["ls"], result)) == "ls ended with status 2 in the machine: out\ufffd"
    silent = ExecResult(stdout=b"", stderr=b"", code=2, duration_s=0.1)
    assert str(ExecError(["ls"], silent)) == "ls ended with status 2 in the machine"
