"""What the agent in a machine does for the host: programs, copies, the clock, mounts.

An `Agent` waits up to `patience_s` for the guest's program to answer, so that a machine may be
asked as soon as it was launched. Whatever a call has started in the machine ends with the call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict

import msgspec

from sampan.base.agent import tree
from sampan.base.agent.change import Change
from sampan.machine.agent import program, transfer
from sampan.machine.agent.channel import Channel
from sampan.machine.agent.error import AgentError, AgentTimeoutError
from sampan.machine.agent.link import Link
from sampan.machine.agent.program import Command, ExecError, ExecResult, Program

PATIENCE_S = 30.0
OUTPUT_BYTES = 64 << 20
COPY_BYTES = 64 << 30


class ExecOptions(TypedDict, total=False):
    """The options of `Agent.exec`, for those that pass them on."""

    check: bool
    timeout_s: float | None
    env: Mapping[str, str] | None
    cwd: str
    user: str
    input: bytes
    container: str
    limit_bytes: int


class Listening(msgspec.Struct, frozen=True):
    """A port of the machine at which a program listens."""

    protocol: str
    address: str
    port: int


class Agent:
    """The agent of one machine; calls may be made at the same time."""

    def __init__(self, link: Link, *, patience_s: float = PATIENCE_S) -> None:
        self.link = link
        self.patience_s = patience_s

    async def ready(self, *, deadline_s: float | None = None) -> None:
        """Wait until the agent answers.

        Raises:
            NoAgentError: it does not, within `deadline_s` (None: `patience_s`).
        """
        await self.link.up(self.patience_s if deadline_s is None else deadline_s)

    def resync(self) -> None:
        """Begin anew: the machine was put back to another state under our hands.

        Calls under way end with AgentLostError. Without this the same happens as soon as one
        side says something.
        """
        self.link.begin("the machine was put into another state")

    @asynccontextmanager
    async def start(self, command: Command) -> AsyncIterator[Program]:
        """Run a program and talk to it; it is ended when the block is left.

        A program that is not there ends with status 127, one that cannot be run with 126, as
        in a shell.

        Raises:
            NoAgentError: no agent answers.
        """
        await self.ready()
        with Channel(self.link, "exec", command.params(has_input=True)) as channel:
            yield Program(channel)

    async def exec(
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
        """Run a program to its end; see `Command` for where and as whom.

        Processes that it leaves behind go on, what they say later is dropped.

        Raises:
            NoAgentError: no agent answers.
            ExecError: with `check`, its status is not 0.
            AgentTimeoutError: it took longer than `timeout_s`, and was ended.
            AgentError: it said more than `limit_bytes`, and was ended.
            AgentLostError: the conversation broke off.
        """
        command = Command(
            argv=tuple(argv), env=env or {}, cwd=cwd, user=user, container=container
        )  # fmt: skip
        began_s = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(timeout_s), self.start(command) as running:
                out, err, code = await program.run(running, input, limit_bytes)
        except TimeoutError:
            if not self.link.is_up:
                raise self.link.absent(timeout_s or 0.0) from None
            raise AgentTimeoutError(
                f"{argv[0]} took longer than {timeout_s:g} s in the machine, and was ended"
            ) from None
        duration_s = asyncio.get_running_loop().time() - began_s
        result = ExecResult(stdout=out, stderr=err, code=code, duration_s=duration_s)
        if check and code != 0:
            raise ExecError(argv, result)
        return result

    async def copy_to(self, source: Path | str, target: str, *, container: str = "") -> None:
        """Copy a file or folder into the machine: to `target`, or into it if it is a folder.

        Modes and times are kept, owners are not: all of it is root's. Links below `source` stay
        links.

        Raises:
            NoAgentError: no agent answers.
            AgentError: it cannot be read here, or written there.
        """
        name = transfer.base_name(os.path.abspath(source))  # noqa: ASYNC240, PTH100
        params = {"target": target, "name": name, "container": container, "input": True}
        async with self._calling("put", params) as channel:
            await transfer.send(channel, str(source))

    async def copy_from(
        self, source: str, target: Path | str, *, container: str = "",
        limit_bytes: int = COPY_BYTES,
    ) -> None:  # fmt: skip
        """Copy a file or folder out of the machine: to `target`, or into it if it is a folder.

        Modes (without setuid) and times are kept, owners are not. Links stay links, and nothing
        is written through one. A file appears whole, or not at all.

        Raises:
            NoAgentError: no agent answers.
            AgentError: it cannot be read there, or written here, or is more than `limit_bytes`.
        """
        name = transfer.base_name(source)
        limits = tree.Limits(size_bytes=limit_bytes)
        async with self._calling("get", {"source": source, "container": container}) as channel:
            await transfer.receive(channel, str(target), name, limits)

    async def set_clock(self, wall_s: float) -> float:
        """Set the machine's clock to `wall_s` (seconds since 1970); by how much it was stepped.

        Raises:
            NoAgentError: no agent answers.
            AgentError: its kernel refused.
        """
        stepped_s = (await self.call("clock", {"wall_s": float(wall_s)})).get("stepped_s")
        if not isinstance(stepped_s, int | float):
            raise AgentError("the agent's answer makes no sense")
        return float(stepped_s)

    async def ports(self) -> tuple[Listening, ...]:
        """The ports at which programs of the machine listen; services with `net: new` are left out.

        Raises:
            NoAgentError: no agent answers.
        """
        said = (await self.call("ports", {})).get("ports")
        try:
            rows = msgspec.convert(said, tuple[tuple[str, str, int], ...])
        except msgspec.ValidationError as error:
            raise AgentError(f"the agent's answer makes no sense: {error}") from error
        return tuple(Listening(*row) for row in rows)

    async def mount_share(
        self, tag: str, target: str, *, kind: str = "virtiofs", options: str = "",
        read_only: bool = False,
    ) -> None:  # fmt: skip
        """Mount the share `tag` at `target` of the system, which is made if it is missing.

        Raises:
            NoAgentError: no agent answers.
            AgentError: the guest's kernel refused.
        """
        params = {
            "source": tag, "target": target, "type": kind, "options": options,
            "read_only": read_only,
        }  # fmt: skip
        async with self._calling("mount", params) as channel:
            await transfer.work(channel)

    async def replay(self, target: str, token: str, changes: Sequence[Change]) -> None:
        """Do in the share that is mounted at `target` what was done to it on the host.

        Its server knows by `token` who does it, plays along, and changes nothing: see
        `sharing.control`. A change that cannot be done is left out.

        Raises:
            NoAgentError: no agent answers.
            AgentError: no server there knows the token; nothing was done.
        """
        params = {"target": target, "token": token, "changes": [list(each) for each in changes]}
        async with self._calling("replay", params) as channel:
            await transfer.work(channel)

    async def call(self, method: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """Call a method of the guest's program that answers at once.

        Raises:
            NoAgentError: no agent answers, or not in time.
            AgentError: it refused.
        """
        async with self._calling(method, params) as channel:
            try:
                async with asyncio.timeout(self.patience_s):
                    return await channel.answer()
            except TimeoutError:
                raise AgentTimeoutError(
                    f"the agent has not answered {method} within {self.patience_s:g} s"
                ) from None

    @asynccontextmanager
    async def _calling(self, method: str, params: Mapping[str, Any]) -> AsyncIterator[Channel]:
        await self.ready()
        with Channel(self.link, method, params) as channel:
            yield channel
