"""The agent without asyncio: the same names, each call waits for its answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sampan.base.agent.change import Change
from sampan.machine.agent.client import COPY_BYTES, OUTPUT_BYTES, Agent, Listening
from sampan.machine.agent.program import Command, ExecResult, Program, Window

T = TypeVar("T")


class Runner(Protocol):
    """Runs coroutines and callables on the loop that an agent belongs to."""

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for the result of `work`."""

    def call(self, function: Callable[[], T]) -> T:
        """Wait for the result of `function`, called there."""


class BlockingProgram:
    """See `sampan.machine.agent.program.Program`.

    One thread may read while another one writes.
    """

    def __init__(self, program: Program, runner: Runner) -> None:
        self._program = program
        self._runner = runner

    def read(self) -> tuple[int, bytes] | None:
        """See `Program.read`."""
        return self._runner.run(self._program.read())

    def write(self, data: bytes) -> bool:
        """See `Program.write`."""
        return self._runner.run(self._program.write(data))

    def end_input(self) -> None:
        """See `Program.end_input`."""
        self._runner.call(self._program.end_input)

    def resize(self, window: Window) -> None:
        """See `Program.resize`."""
        self._runner.call(lambda: self._program.resize(window))

    def signal(self, number: int) -> None:
        """See `Program.signal`."""
        self._runner.call(lambda: self._program.signal(number))

    def wait(self) -> int:
        """See `Program.wait`."""
        return self._runner.run(self._program.wait())


class BlockingAgent:
    """See `sampan.machine.agent.client.Agent`."""

    def __init__(self, agent: Agent, runner: Runner) -> None:
        self._agent = agent
        self._runner = runner

    @property
    def patience_s(self) -> float:
        """See `Agent`."""
        return self._agent.patience_s

    def ready(self, *, deadline_s: float | None = None) -> None:
        """See `Agent.ready`."""
        self._runner.run(self._agent.ready(deadline_s=deadline_s))

    def resync(self) -> None:
        """See `Agent.resync`."""
        self._runner.call(self._agent.resync)

    @contextmanager
    def start(self, command: Command) -> Iterator[BlockingProgram]:
        """See `Agent.start`: the program is ended when the block is left."""
        starting = self._agent.start(command)
        program = self._runner.run(_entered(starting))
        try:
            yield BlockingProgram(program, self._runner)
        finally:
            self._runner.run(_left(starting))

    def exec(
        self,
        argv: Sequence[str],
        *,
        check: bool = False,
        timeout_s: float | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "",
        user: str = "",
        input: bytes = b"",  # noqa: A002  as subprocess.run calls it
        container: str = "",
        limit_bytes: int = OUTPUT_BYTES,
    ) -> ExecResult:
        """See `Agent.exec`."""
        return self._runner.run(
            self._agent.exec(
                argv, check=check, timeout_s=timeout_s, env=env, cwd=cwd, user=user, input=input,
                container=container, limit_bytes=limit_bytes,
            )
        )  # fmt: skip

    def copy_to(self, source: Path | str, target: str, *, container: str = "") -> None:
        """See `Agent.copy_to`."""
        self._runner.run(self._agent.copy_to(source, target, container=container))

    def copy_from(
        self, source: str, target: Path | str, *, container: str = "",
        limit_bytes: int = COPY_BYTES,
    ) -> None:  # fmt: skip
        """See `Agent.copy_from`."""
        self._runner.run(
            self._agent.copy_from(source, target, container=container, limit_bytes=limit_bytes)
        )

    def set_clock(self, wall_s: float) -> float:
        """See `Agent.set_clock`."""
        return self._runner.run(self._agent.set_clock(wall_s))

    def ports(self) -> tuple[Listening, ...]:
        """See `Agent.ports`."""
        return self._runner.run(self._agent.ports())

    def mount_share(
        self, tag: str, target: str, *, kind: str = "virtiofs", options: str = "",
        read_only: bool = False,
    ) -> None:  # fmt: skip
        """See `Agent.mount_share`."""
        self._runner.run(
            self._agent.mount_share(tag, target, kind=kind, options=options, read_only=read_only)
        )

    def replay(self, target: str, token: str, changes: Sequence[Change]) -> None:
        """See `Agent.replay`."""
        self._runner.run(self._agent.replay(target, token, changes))

    def call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """See `Agent.call`."""
        return self._runner.run(self._agent.call(method, params))


async def _entered(context: AbstractAsyncContextManager[T]) -> T:
    return await context.__aenter__()


async def _left(context: AbstractAsyncContextManager[Any]) -> None:
    """Leave `context`; to one of a program it makes no difference whether something was raised."""
    await context.__aexit__(None, None, None)
