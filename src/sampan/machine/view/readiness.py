"""When a machine is ready: stages with deadlines, and why one was not reached.

A condition is a frozen value that waits for one thing and says what that is. They are put
together by `in_order` (stages one after the other), `all_of` and `any_of`. Every single
condition has its own deadline, counted from when it is its turn, so that the error names the
stage that hung and not the whole boot:

    ready = in_order(console("services running", deadline_s=120), http(80))
    with machine.launch(spec, LaunchOptions(ready=ready)) as vm: ...

That the hypervisor came up is a stage too, with `LaunchOptions.start_deadline_s`. A machine
that ends or panics meanwhile ends the waiting at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TypeAlias, cast

from sampan.machine.agent.client import Agent
from sampan.machine.console import Console
from sampan.machine.error import MachineEndedError, MachineError, MachineTimeoutError
from sampan.machine.forward import Forward
from sampan.machine.forward import Protocol as Transport
from sampan.machine.model import End
from sampan.machine.view import probe
from sampan.machine.view.event import Ended, Event
from sampan.machine.vsock import Endpoint, VsockRefusedError

DEADLINE_S = 60.0
_REACHABLE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # what listens there is met here


class Guest(Protocol):
    """What a condition can look at; a `VM` is one."""

    console: Console
    forwards: tuple[Forward, ...]

    @property
    def agent(self) -> Agent:
        """See `VM.agent`."""

    @property
    def vsock(self) -> Endpoint:
        """See `VM.vsock`."""

    def events(self, *, since: int = 0) -> AsyncIterator[Event]:
        """See `VM.events`."""


class NotReadyError(MachineError):
    """A machine was not ready in time, or ended before it was.

    Attributes:
        stage: what was waited for.
        waited_s: how long.
        end: how the machine ended meanwhile; None if it runs, and the deadline has passed.
    """

    def __init__(self, stage: str, waited_s: float, end: End | None, console: Console) -> None:
        if end is None:
            cause = f"after {waited_s:.1f} s the machine was not ready: {stage}"
        else:
            how = end.detail or f"it was {end.ending}"
            cause = f"the machine ended after {waited_s:.1f} s of waiting for {stage}: {how}"
        tail = console.transcript.tail()
        said = f"its last lines:\n{tail}" if tail else "its console has shown nothing"
        super().__init__(f"{cause}; {said}")
        self.stage = stage
        self.waited_s = waited_s
        self.end = end


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One thing to wait for: `reached` returns when it is so."""

    name: str
    deadline_s: float
    reached: Callable[[Guest], Awaitable[object]]


@dataclass(frozen=True)
class InOrder:
    """Conditions one after the other."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class AllOf:
    """Conditions that are waited for at the same time."""

    parts: tuple[Condition, ...]


@dataclass(frozen=True)
class AnyOf:
    """Conditions of which one is enough."""

    parts: tuple[Condition, ...]


Condition: TypeAlias = Stage | InOrder | AllOf | AnyOf


def in_order(*parts: Condition) -> InOrder:
    """All of `parts`, each begun when the one before it was reached."""
    return InOrder(parts)


def all_of(*parts: Condition) -> AllOf:
    """All of `parts`, begun together."""
    return AllOf(parts)


def any_of(*parts: Condition) -> AnyOf:
    """The first of `parts` to be reached; the error tells of all of them."""
    return AnyOf(parts)


def stage(
    name: str, reached: Callable[[Guest], Awaitable[object]], *, deadline_s: float = DEADLINE_S
) -> Stage:
    """A condition of your own: `reached(vm)` returns when it is met."""
    return Stage(name=name, deadline_s=deadline_s, reached=reached)


def console(wanted: str | re.Pattern[str], *, deadline_s: float = DEADLINE_S) -> Stage:
    """The console has shown `wanted` (plain text, or a compiled pattern) since the boot."""
    pattern = re.compile(re.escape(wanted)) if isinstance(wanted, str) else wanted
    shown = wanted if isinstance(wanted, str) else pattern.pattern
    return stage(f"the console shows {shown!r}", _shows(pattern), deadline_s=deadline_s)


def answers(port: int, *, send: bytes = b"", deadline_s: float = DEADLINE_S) -> Stage:
    """A published TCP `port` of the guest says something, to `send` or by itself.

    That it takes a connection would say little: a hypervisor's own network accepts connections
    before the guest does.
    """
    reached = _answers(port, send)
    return stage(f"port {port} of the guest answers", reached, deadline_s=deadline_s)


def http(port: int, path: str = "/", *, deadline_s: float = DEADLINE_S) -> Stage:
    """A published `port` of the guest answers a GET of `path` with a status below 500."""
    reached = _serves(port, path)
    return stage(f"port {port} of the guest serves {path}", reached, deadline_s=deadline_s)


def vsock(port: int, *, deadline_s: float = DEADLINE_S) -> Stage:
    """Somebody in the guest takes connections to vsock `port`."""

    async def reached(guest: Guest) -> None:
        await probe.until(_connects(guest.vsock, port))

    return stage(
        f"vsock port {port} of the guest takes connections", reached, deadline_s=deadline_s
    )


def happened(kind: type[Event], *, deadline_s: float = DEADLINE_S) -> Stage:
    """There was an event of `kind`, as `AgentUp`."""

    async def reached(guest: Guest) -> None:
        async for event in guest.events():
            if isinstance(event, kind):
                return

    return stage(f"event {kind.__name__}", reached, deadline_s=deadline_s)


def agent(*, deadline_s: float = DEADLINE_S) -> Stage:
    """The agent in the guest answers: programs can be run there."""

    async def reached(guest: Guest) -> None:
        await guest.agent.link.up(None)

    return stage("the agent in the guest answers", reached, deadline_s=deadline_s)


async def wait(condition: Condition, guest: Guest) -> None:
    """Wait until `guest` meets `condition`.

    Raises:
        NotReadyError: a deadline has passed, or the machine has ended.
        MachineError: the condition cannot be met, as a port that is not published.
    """
    match condition:
        case Stage():
            await _reach(condition, guest)
        case InOrder():
            for part in condition.parts:
                await wait(part, guest)
        case AllOf():
            await _wait_all(condition.parts, guest)
        case AnyOf():
            await _wait_any(condition.parts, guest)


async def _reach(one: Stage, guest: Guest) -> None:
    loop = asyncio.get_running_loop()
    begin_s = loop.time()
    works = (one.reached(guest), _until_end(guest))
    try:
        async with asyncio.timeout(one.deadline_s):
            failures = await _race(works, enough=lambda _: True)
    except TimeoutError:
        raise NotReadyError(one.name, one.deadline_s, None, guest.console) from None
    if None in failures:
        return
    for failure in failures:
        if not isinstance(failure, MachineEndedError):
            raise cast("Exception", failure)
    end = await _end(guest)
    raise NotReadyError(one.name, loop.time() - begin_s, end, guest.console)


async def _wait_all(parts: tuple[Condition, ...], guest: Guest) -> None:
    works = [wait(part, guest) for part in parts]
    for failure in await _race(works, enough=lambda failure: failure is not None):
        if failure is not None:
            raise failure


async def _wait_any(parts: tuple[Condition, ...], guest: Guest) -> None:
    works = [wait(part, guest) for part in parts]
    failures = await _race(works, enough=lambda failure: failure is None)
    if None in failures:
        return
    late = [failure for failure in failures if isinstance(failure, NotReadyError)]
    for failure in failures:
        if failure not in late:
            raise cast("Exception", failure)
    stages = " or ".join(each.stage for each in late)
    waited_s = max((each.waited_s for each in late), default=0.0)
    raise NotReadyError(stages, waited_s, late[0].end if late else None, guest.console)


async def _race(
    works: Iterable[Awaitable[object]], *, enough: Callable[[Exception | None], bool]
) -> list[Exception | None]:
    """How `works` ended (None: well), up to the first that is `enough`; the others are left."""
    outcomes: list[Exception | None] = []
    async with asyncio.TaskGroup() as tasks:
        running = {tasks.create_task(_outcome(work), name="readiness") for work in works}
        while running and not any(map(enough, outcomes)):
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            outcomes += [task.result() for task in done]
        for task in running:
            task.cancel()
    return outcomes


async def _outcome(work: Awaitable[object]) -> Exception | None:
    try:
        await work
    except Exception as error:  # noqa: BLE001  raised again by who asked for the race
        return error
    return None


async def _until_end(guest: Guest) -> None:
    await _end(guest)
    raise MachineEndedError("the machine has ended")


async def _end(guest: Guest) -> End:
    async for event in guest.events():
        if isinstance(event, Ended):
            return event.end
    raise AssertionError("the last event of a machine is its end")


def _connects(endpoint: Endpoint, port: int) -> Callable[[], Awaitable[bool]]:
    async def attempt() -> bool:
        with suppress(VsockRefusedError, MachineTimeoutError):
            (await endpoint.connect(port)).close()
            return True
        return False

    return attempt


def _shows(pattern: re.Pattern[str]) -> Callable[[Guest], Awaitable[object]]:
    async def reached(guest: Guest) -> None:
        await guest.console.seen(pattern)

    return reached


def _answers(port: int, send: bytes) -> Callable[[Guest], Awaitable[object]]:
    async def reached(guest: Guest) -> None:
        await probe.until(probe.says(*_address(guest, port), send))

    return reached


def _serves(port: int, path: str) -> Callable[[Guest], Awaitable[object]]:
    async def reached(guest: Guest) -> None:
        await probe.until(probe.serves(*_address(guest, port), path))

    return reached


def _address(guest: Guest, port: int) -> tuple[str, int]:
    """Where on the host TCP port `port` of the guest is."""
    for each in guest.forwards:
        if each.guest_port == port and each.protocol is Transport.TCP:
            return _REACHABLE.get(each.bind, each.bind), each.host_port
    raise MachineError(
        f"port {port} of the guest is not published: whether it answers cannot be seen",
        hint=f"publish it: Forward(host_port=0, guest_port={port})",
    )
