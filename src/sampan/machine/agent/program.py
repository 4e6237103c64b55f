"""A program that runs in a machine: talked to while it runs, or run to its end.

A terminal has one stream for everything it shows; without one, output and errors are apart.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from sampan.machine.agent.channel import Channel
from sampan.machine.agent.error import AgentError

OUT, ERR = 1, 2
_TAIL_CHARS = 500


class Window(msgspec.Struct, frozen=True):
    """The size of a terminal, in characters."""

    rows: int = 24
    columns: int = 80


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What to run: `argv`, in the root of the system, or in the container of a service.

    `env` comes on top of a small environment; `cwd` is the home of the user unless given; `user`
    is `NAME`, `UID`, `UID:GID` (numbers, in a container), root unless given. With a `terminal` of
    some size it is a program for people.
    """

    argv: tuple[str, ...]
    env: Mapping[str, str] = {}
    cwd: str = ""
    user: str = ""
    container: str = ""
    terminal: Window | None = None

    def params(self, *, has_input: bool) -> dict[str, Any]:
        """As the agent wants it said."""
        said: dict[str, Any] = {
            "argv": self.argv, "env": dict(self.env), "cwd": self.cwd, "user": self.user,
            "container": self.container, "input": has_input,
        }  # fmt: skip
        if self.terminal is not None:
            size = {"rows": self.terminal.rows, "columns": self.terminal.columns}
            said |= {"terminal": True, **size}
        return said


class ExecResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a program ended: all it said, its status (128 + N after signal N), how long it took."""

    stdout: bytes
    stderr: bytes
    code: int
    duration_s: float

    @property
    def text(self) -> str:
        """Its output as text, without spaces and line breaks around it."""
        return self.stdout.decode(errors="replace").strip()


class ExecError(AgentError):
    """A program that had to succeed did not; `result` is how it ended."""

    def __init__(self, argv: Sequence[str], result: ExecResult) -> None:
        said = (result.stderr or result.stdout).decode(errors="replace").strip()[-_TAIL_CHARS:]
        super().__init__(
            f"{argv[0]} ended with status {result.code} in the machine"
            + (f": {said}" if said else "")
        )
        self.result = result


class Program:
    """A running program; see `Agent.start`."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    async def read(self) -> tuple[int, bytes] | None:
        """What it says next, and whether as output (1) or error (2); None after its end.

        Raises:
            AgentLostError: the conversation broke off.
        """
        return await self._channel.read()

    async def write(self, data: bytes) -> bool:
        """Type `data`; waits while it does not read. False if it has ended."""
        return await self._channel.write(data)

    def end_input(self) -> None:
        """Let it see the end of its input (on a terminal: Ctrl-D)."""
        self._channel.end()

    def resize(self, window: Window) -> None:
        """Its terminal has this size now."""
        self._channel.note(rows=window.rows, columns=window.columns)

    def signal(self, number: int) -> None:
        """Send a signal to it and to what it started."""
        self._channel.note(signal=number)

    async def wait(self) -> int:
        """Its status, once it has ended; what it said and nobody read is dropped.

        Raises:
            AgentError: it could not be started.
            AgentLostError: the conversation broke off.
        """
        return status(await self._channel.answer())


def status(result: Mapping[str, Any]) -> int:
    """The status of a program, in the answer to its call.

    Raises:
        AgentError: the answer is none.
    """
    code = result.get("code")
    if not isinstance(code, int) or not 0 <= code <= 255:
        raise AgentError("the agent's answer makes no sense")
    return code


async def run(program: Program, given: bytes, limit_bytes: int) -> tuple[bytes, bytes, int]:
    """Feed a program, and gather what it says; output, errors, status.

    Raises:
        AgentError: it said more than `limit_bytes`, or could not be started.
        AgentLostError: the conversation broke off.
    """
    said = {OUT: bytearray(), ERR: bytearray()}
    size = 0

    async def feed() -> None:
        if await program.write(given):
            program.end_input()

    async with asyncio.TaskGroup() as tasks:
        feeding = tasks.create_task(feed(), name="input of a program")
        failure: AgentError | None = None
        try:
            while (piece := await program.read()) is not None:
                stream, data = piece
                size += len(data)
                if size > limit_bytes:
                    failure = AgentError(
                        f"the program said more than {limit_bytes} bytes, and was ended",
                        hint="say a higher limit_bytes, or read what it says with start()",
                    )
                    break
                said[OUT if stream == OUT else ERR] += data
        except AgentError as error:  # not in the group's clothes
            failure = error
        feeding.cancel()
    if failure is not None:
        raise failure
    return bytes(said[OUT]), bytes(said[ERR]), await program.wait()
