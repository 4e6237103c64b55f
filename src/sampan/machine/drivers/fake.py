"""A driver that runs no machine, but acts one out: for unit tests of code that uses machines.

Theory of operation. Each machine is a task that goes through the steps of a script: it says
things on the console, waits for what is typed, presses on, and ends. Nothing but the event loop
is involved, no process, no socket, no file. Time in a script costs nothing unless `pace` says
so. What the code under test did (typed, pressed, commanded) is on `FakeDriver.machines`.

What it cannot show: anything a real guest or hypervisor decides by itself. It listens on no
published port, and disks are not even looked at.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from sampan.base.progress import Progress
from sampan.machine import qmp
from sampan.machine.console import Console
from sampan.machine.control import CommandError
from sampan.machine.driver import Build, Capability, Launch, Sink
from sampan.machine.error import MachineEndedError, MachineError
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator, End, Ending, MachineSpec, Verdict
from sampan.machine.port import PortError

_FIRST_PORT = 40000  # of those that are made up for published ports
_MAX_KEPT = 1 << 20
_ANSWERS: Mapping[str, qmp.Json] = {"query-cpus-fast": [], "query-blockstats": []}


@dataclass(frozen=True)
class Say:
    """The guest prints `text` and a new line on its console; bytes are printed as they are."""

    text: str | bytes


@dataclass(frozen=True)
class Await:
    """The guest waits until `text` was typed, after what it waited for before."""

    text: str


@dataclass(frozen=True)
class AwaitButton:
    """The guest waits for one more press of its power button."""


@dataclass(frozen=True)
class Sleep:
    """`seconds` pass."""

    seconds: float


@dataclass(frozen=True)
class Notice:
    """The hypervisor tells an event of QMP."""

    name: str
    data: Mapping[str, qmp.Json] = field(default_factory=dict)


@dataclass(frozen=True)
class Reset:
    """The guest reboots; the script goes on."""


@dataclass(frozen=True)
class Finish:
    """The machine ends, by itself, in the way `ending` says."""

    ending: Ending = Ending.POWERED_OFF
    detail: str = ""


Step: TypeAlias = Say | Await | AwaitButton | Sleep | Notice | Reset | Finish


@dataclass(frozen=True, kw_only=True)
class Script:
    """What a machine does.

    Attributes:
        steps: in order; when they are done the guest idles.
        presses: after so many presses of the power button it powers off; None: it is deaf.
        shell: what it prints for each line that is typed; empty prints nothing.
        answers: the values of commands of QMP; of all others it is an empty object.
        refusals: commands that fail, and why.
        start_failure: why it does not even start; empty: it does.
        pace: how many real seconds a second of the script takes.
    """

    steps: Sequence[Step] = ()
    presses: int | None = 1
    shell: Callable[[str], str] | None = None
    answers: Mapping[str, qmp.Json] = field(default_factory=dict)
    refusals: Mapping[str, str] = field(default_factory=dict)
    start_failure: str = ""
    pace: float = 0.0


class FakeDriver:
    """See `Driver`. `machines` are those it has started, in order.

    `capabilities` are all there are unless given: take some away to see how code does without.
    """

    name = "fake"

    def __init__(
        self, script: Script | None = None, *, capabilities: frozenset[Capability] | None = None
    ) -> None:
        self.capabilities = frozenset(Capability) if capabilities is None else capabilities
        self.machines: list[FakeMachine] = []
        self._script = script or Script()

    def verdict(self, spec: MachineSpec, root: Path) -> Verdict:
        """See `Driver.verdict`."""
        del root
        return Verdict(spec.accel or Accelerator.TCG)

    async def start(self, spec: MachineSpec, launch: Launch) -> FakeMachine:
        """See `Driver.start`.

        Raises:
            MachineError: the script says that it does not start.
        """
        if self._script.start_failure:
            raise MachineError(f"the machine did not start: {self._script.start_failure}")
        machine = FakeMachine(spec, self._script, launch.console)
        self.machines.append(machine)
        return machine


class _Kept(msgspec.Struct, frozen=True):
    """What is left of a fake machine when it is saved."""

    done: int
    typed: str
    presses: int
    used: int
    presses_used: int


class FakeMachine:
    """See `Hypervisor`.

    Attributes:
        spec: what was asked for.
        typed: all that was typed on its console.
        commands: the commands of QMP it was given, in order.
        presses: how often its power button was pressed.
        done: how many steps of the script are behind it.
        published: its ports; those that were any have numbers that are made up.
    """

    def __init__(self, spec: MachineSpec, script: Script, console: Console) -> None:
        self.spec = spec
        self.typed = ""
        self.commands: list[tuple[str, Mapping[str, qmp.Json]]] = []
        self.presses = 0
        self.done = 0
        self.published = _numbered(spec.publish)
        self._script = script
        self._console = console
        self._listeners: list[Callable[[qmp.Notice], None]] = []
        loop = asyncio.get_running_loop()
        self._end: asyncio.Future[End] = loop.create_future()
        self._goes, self._changed = asyncio.Event(), asyncio.Event()
        self._used = 0  # characters typed, and presses, that steps have waited for
        self._presses_used = 0
        self._line = ""
        self._console.connection_made(_Keyboard(self._type))
        self._acting = loop.create_task(self._act(), name=f"fake machine {spec.name}")

    @property
    def pid(self) -> int:
        """That of this process: there is no other."""
        return os.getpid()

    @property
    def argv(self) -> tuple[str, ...]:
        """What there would be to type."""
        return ("fake", self.spec.name)

    def listen(self, listener: Callable[[qmp.Notice], None]) -> None:
        """See `Hypervisor.listen`."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """See `Hypervisor.run`."""
        if not self._end.done():
            self._goes.set()
            self._tell("RESUME")

    async def pause(self) -> None:
        """See `Hypervisor.pause`; the script stops before its next step."""
        self._check_alive("pause")
        self._goes.clear()
        self._tell("STOP")

    async def power_button(self) -> None:
        """See `Hypervisor.power_button`."""
        self._check_alive("press the power button")
        self.presses += 1
        self._tell("POWERDOWN")
        self._changed.set()
        if self._script.presses is not None and self.presses >= self._script.presses:
            self._finish(End(ending=Ending.POWERED_OFF))

    async def forwards(self, wanted: tuple[Forward, ...]) -> tuple[Forward, ...]:
        """See `Hypervisor.forwards`; a free host port is a made-up one, where nobody listens."""
        return _numbered(wanted)

    async def expose(self, forward: Forward) -> Forward:
        """See `Hypervisor.expose`."""
        self._check_alive("expose a port")
        self.published = _numbered((*self.published, forward))
        return self.published[-1]

    async def unexpose(self, forward: Forward) -> None:
        """See `Hypervisor.unexpose`.

        Raises:
            PortError: it is not published.
        """
        self._check_alive("unexpose a port")
        if forward not in self.published:
            raise PortError(f"{forward} is not published")
        self.published = tuple(each for each in self.published if each != forward)

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """See `Hypervisor.execute`; answers as the script says.

        Raises:
            CommandError: the script refuses it.
        """
        self._check_alive(command)
        self.commands.append((command, dict(arguments or {})))
        if (why := self._script.refusals.get(command)) is not None:
            raise CommandError(command, qmp.Failure(0, "GenericError", why))
        return self._script.answers.get(command, _ANSWERS.get(command, {}))

    async def build(self) -> Build:
        """See `Movable.build`."""
        return Build(version="fake")

    async def unplug(self, spec: MachineSpec) -> None:
        """See `Movable.unplug`; there is nothing that could not be saved."""

    async def plug(self, spec: MachineSpec, accel: Accelerator) -> None:
        """See `Movable.plug`."""

    async def save(self, state: Sink, progress: Progress) -> None:
        """See `Movable.save`: how far the script is, and what was typed."""
        del progress
        self._check_alive("save")
        kept = _Kept(self.done, self.typed, self.presses, self._used, self._presses_used)
        state.write(memoryview(msgspec.json.encode(kept)))

    async def load(self, fd: int) -> None:
        """See `Movable.load`."""
        kept = msgspec.json.decode(os.pread(fd, _MAX_KEPT, 0), type=_Kept)
        self.done, self.typed, self.presses = kept.done, kept.typed, kept.presses
        self._used, self._presses_used = kept.used, kept.presses_used

    def panicked(self, detail: str) -> None:
        """See `Hypervisor.panicked`."""
        self._finish(End(ending=Ending.PANICKED, detail=detail))

    async def kill(self) -> End:
        """See `Hypervisor.kill`."""
        self._finish(End(ending=Ending.FORCED))
        return await self.wait()

    async def wait(self) -> End:
        """See `Hypervisor.wait`."""
        end = await asyncio.shield(self._end)
        await asyncio.wait((self._acting,))
        return end

    async def _act(self) -> None:
        await self._goes.wait()
        for step in self._script.steps[self.done :]:
            await self._goes.wait()
            await self._take(step)
            self.done += 1
            await asyncio.sleep(0)

    async def _take(self, step: Step) -> None:
        match step:
            case Say():
                text = step.text
                self._print(text if isinstance(text, bytes) else f"{text}\r\n".encode())
            case Await():
                await self._until(lambda: step.text in self.typed[self._used :])
                self._used = self.typed.index(step.text, self._used) + len(step.text)
            case AwaitButton():
                await self._until(lambda: self.presses > self._presses_used)
                self._presses_used += 1
            case Sleep():
                await asyncio.sleep(step.seconds * self._script.pace)
            case Notice():
                self._tell(step.name, step.data)
            case Reset():
                self._tell("RESET", {"guest": True, "reason": "guest-reset"})
            case Finish():
                self._finish(End(ending=step.ending, detail=step.detail))

    def _type(self, data: bytes) -> None:
        text = data.decode(errors="replace")
        self.typed += text
        *lines, self._line = (self._line + text.replace("\n", "\r")).split("\r")
        for line in lines:
            if self._script.shell is not None and (answer := self._script.shell(line)):
                self._print(f"{answer}\r\n".encode())
        self._changed.set()

    async def _until(self, met: Callable[[], bool]) -> None:
        while not met():
            self._changed.clear()
            await self._changed.wait()

    def _print(self, data: bytes) -> None:
        if not self._end.done():
            self._console.data_received(data)

    def _tell(self, name: str, data: Mapping[str, qmp.Json] | None = None) -> None:
        for listener in self._listeners:
            listener(qmp.Notice(name, data or {}, 0.0))

    def _finish(self, end: End) -> None:
        if self._end.done():
            return
        self._end.set_result(end)
        self._console.connection_lost(None)
        self._acting.cancel()

    def _check_alive(self, what: str) -> None:
        if self._end.done():
            raise MachineEndedError(f"cannot {what}: the machine has ended")


def _numbered(forwards: tuple[Forward, ...]) -> tuple[Forward, ...]:
    """`forwards` with a port, which nobody has, for each that may be any."""
    taken = {each.host_port for each in forwards}
    free = (port for port in itertools.count(_FIRST_PORT) if port not in taken)
    return tuple(
        each if each.host_port else replace(each, host_port=next(free)) for each in forwards
    )


class _Keyboard(asyncio.Transport):
    """The end of the console at which users type."""

    def __init__(self, typed: Callable[[bytes], None]) -> None:
        super().__init__()
        self._typed = typed

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._typed(bytes(data))

    def pause_reading(self) -> None:
        """What is printed meanwhile is small, and not held back."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""
