"""The same names without asyncio."""

import asyncio
import threading
import time

import pytest

from sampan.base.agent.change import Change
from sampan.machine.agent import AgentError, Command, ExecError, Window
from sampan.machine.agent.blocking import BlockingAgent


class Runner:
    def __init__(self, loop):
        self._loop = loop

    def run(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def call(self, function):
        async def called():
            return function()

        return self.run(called())


@pytest.fixture
def blocking(agent):
    started, leave = threading.Event(), None
    made = []

    async def live():
        nonlocal leave
        async with agent() as there:
            leave = asyncio.Event()
            made.append(BlockingAgent(there, Runner(asyncio.get_running_loop())))
            started.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    started.wait(60)
    yield made[0]
    made[0]._runner.call(leave.set)
    thread.join(60)


def test_everything_once(blocking, tmp_path):
    blocking.ready()
    assert blocking.exec(["cat"], input=b"x", check=True).stdout == b"x"
    with pytest.raises(ExecError):
        blocking.exec(["false"], check=True)
    (tmp_path / "file").write_text("text")
    blocking.copy_to(tmp_path / "file", f"{tmp_path}/there")
    blocking.copy_from(f"{tmp_path}/there", tmp_path / "back")
    assert (tmp_path / "back").read_text() == "text"
    assert abs(blocking.set_clock(time.time())) < 10
    assert isinstance(blocking.ports(), tuple)
    with pytest.raises(Exception, match="lets changes be told"):
        blocking.replay(str(tmp_path), "token", [Change("delete", "file")])
    blocking.resync()
    assert blocking.exec(["echo", "again"]).text == "again"
    with pytest.raises(Exception, match="in the machine"):
        blocking.mount_share("tag", f"{tmp_path}/at", kind="no-such-type")


def test_talking_to_a_program(blocking):
    assert blocking.patience_s == 60
    with blocking.start(Command(argv=("sh", "-c", "read a; echo got $a; exit 3"))) as program:
        assert program.write(b"this\n")
        program.end_input()
        assert program.read() == (1, b"got this\n")
        assert program.read() is None
        assert program.wait() == 3


def test_a_program_on_a_terminal_that_is_interrupted(blocking):
    command = Command(argv=("sh", "-c", "echo up; sleep 100"), terminal=Window())
    with blocking.start(command) as program:
        assert program.read()[1].startswith(b"up")
        program.resize(Window(rows=10, columns=40))
        program.signal(15)
        assert program.wait() == 128 + 15


def test_a_program_ends_with_its_block(blocking):
    with pytest.raises(RuntimeError, match="mine"), blocking.start(Command(argv=("cat",))):
        raise RuntimeError("mine")
    with blocking.start(Command(argv=("no-such-program",))) as program:
        assert program.wait() == 127


def test_methods_of_the_guest(blocking):
    assert "ports" in blocking.call("ports", {})
    with pytest.raises(AgentError, match="refused"):
        blocking.call("no-such-method", {})
