"""One machine in the foreground: console on stdio, signals as a power button.

This is the one place that joins kits: the machine with a terminal and, by `desktop.network`,
with a network; later with shares. It prints nothing itself: what happens is told to `report`,
and console bytes go to the descriptors it was given.

Signals: the first SIGTERM, SIGINT or SIGHUP presses the guest's power button, again every
two seconds (a guest that still boots hears none of the first); when the guest has not powered
off after the deadline, or at a second signal, the machine is ended.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    ExitStack,
    closing,
    contextmanager,
)
from enum import Enum, auto
from pathlib import Path
from typing import TypeAlias, assert_never

import msgspec

from sampan.base import log
from sampan.desktop import network, opened
from sampan.desktop.network import Connection, Published
from sampan.desktop.saved import Keeping
from sampan.desktop.supervisor import Supervisor
from sampan.machine import lifecycle, memory, terminal
from sampan.machine.body import LaunchOptions
from sampan.machine.console import Console
from sampan.machine.driver import Driver
from sampan.machine.error import MachineEndedError, MachineError
from sampan.machine.lifecycle import POWER_OFF_DEADLINE_S, VM
from sampan.machine.model import Accelerator, End, MachineSpec
from sampan.machine.registry.record import Port
from sampan.machine.registry.store import Claim
from sampan.machine.view.event import State

_log = log.get(__name__)
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stdio(msgspec.Struct, frozen=True, kw_only=True):
    """Where the console goes; `keyboard` is a terminal to read from, or None."""

    output: int
    keyboard: int | None
    plain: bool


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a machine in the foreground.

    `claim` is its place in the store, if it has one: it is then written down there, and can be
    reached by other commands. `driver` runs the machine; None: QEMU. With `origin` it does not
    boot, but goes on with the machine that is saved in that folder.
    """

    stdio: Stdio
    network: network.Options = network.Options()
    runtime_root: Path | None = None
    power_off_deadline_s: float = POWER_OFF_DEADLINE_S
    claim: Claim | None = None
    origin: Path | None = None
    driver: Driver | None = None


class Started(msgspec.Struct, frozen=True, tag="started", tag_field="event"):
    """The machine runs. `why` says why not on a faster accelerator; `escapes` how to leave.

    `network` is what its network is called for `sampan net`; empty if that cannot reach it.
    """

    accel: Accelerator
    why: str
    pid: int
    forwards: tuple[Published, ...]
    network: str
    escapes: str


class Stopping(msgspec.Struct, frozen=True, tag="stopping", tag_field="event"):
    """The power button was pressed; after `deadline_s` the machine will be ended."""

    deadline_s: float


class Helped(msgspec.Struct, frozen=True, tag="help", tag_field="event"):
    """The user asked how to leave."""

    escapes: str


class Ended(msgspec.Struct, frozen=True, tag="ended", tag_field="event"):
    """The machine has ended."""

    end: End


Event: TypeAlias = Started | Stopping | Helped | Ended


class Cause(Enum):
    """Who brought the machine to its end."""

    GUEST = auto()  # or the hypervisor: nobody here asked
    USER = auto()  # the escape on the console
    SIGNAL = auto()  # SIGTERM, SIGHUP
    INTERRUPT = auto()  # SIGINT
    COMMAND = auto()  # another command, by the control socket


class Outcome(msgspec.Struct, frozen=True):
    """How a session ended, and who ended it."""

    end: End
    cause: Cause


class _Request(Enum):
    BUTTON = auto()
    STOP = auto()  # the button, and force after the deadline
    FORCE = auto()


def run(spec: MachineSpec, options: Options, report: Callable[[Event], None]) -> Outcome:
    """Boot a machine, be its console until it ends, and say how it did.

    Has to be called in the main thread, which is where signals arrive.

    Raises:
        UsageError: the spec makes no sense.
        MemoryTooSmallError: its initrd would not fit.
        SampanError: as `network.connection` and `VM.launch`.
    """
    spec.check()
    memory.check(spec)
    return asyncio.run(_Session(options, report).run(spec))


class _Session:
    def __init__(self, options: Options, report: Callable[[Event], None]) -> None:
        self._options = options
        self._report = report
        self._requests: asyncio.Queue[_Request] = asyncio.Queue()
        self._cause = Cause.GUEST
        self._deadline_s = options.power_off_deadline_s
        self._is_stopping = False
        self._supervisor = None if options.claim is None else Supervisor(options.claim)

    async def run(self, spec: MachineSpec) -> Outcome:
        with ExitStack() as stack:
            if self._supervisor is not None:
                stack.enter_context(closing(self._supervisor))
            end = await self._run(spec)
            if self._supervisor is not None:
                self._supervisor.ended(end)
        self._report(Ended(end))
        return Outcome(end, self._cause)

    async def _run(self, spec: MachineSpec) -> End:
        output = terminal.Output(self._options.stdio.output, plain=self._options.stdio.plain)
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.call_soon_threadsafe(self._requests.put_nowait, _Request.STOP)

        def prepare(console: Console) -> None:
            output.attach(console)
            if self._supervisor is not None:
                self._supervisor.prepare(console)

        with (
            closing(output),
            self._signals(),
            network.connection(spec, self._options.network, stop) as connection,
        ):
            link = connection.link
            launch = LaunchOptions(
                driver=self._options.driver,
                runtime_root=self._options.runtime_root,
                link_fd=None if link is None else link.fileno(),
                link_path=connection.link_path,
                relink=connection.relink,
            )
            async with self._living(connection.spec, launch, prepare) as vm:
                if link is not None:
                    link.close()  # it is the hypervisor's now
                ports = connection.ports or opened.Fixed(self._options.network)
                with ports.answering(vm):
                    end = await self._supervised(vm, connection, ports)
            await output.drain()
        return end

    def _living(
        self, spec: MachineSpec, launch: LaunchOptions, prepare: Callable[[Console], None]
    ) -> AbstractAsyncContextManager[VM]:
        if self._options.origin is None:
            return VM.launch(spec, launch, prepare=prepare)
        return VM.resume_from(self._options.origin, launch, spec=spec, prepare=prepare)

    async def _supervised(self, vm: VM, connection: Connection, ports: opened.Ports) -> End:
        """Attend to `vm`, and let other commands reach it meanwhile."""
        published = connection.published + network.published_by_machine(vm.forwards)
        async with AsyncExitStack() as stack:
            if self._supervisor is not None:
                shown = tuple(Port(**msgspec.structs.asdict(each)) for each in published)
                supervising = self._supervisor.supervising(
                    vm, self, ports=shown, network=connection.name,
                    has_tty=self._options.stdio.keyboard is None,
                )  # fmt: skip
                claim = self._options.claim
                if claim is not None:
                    Keeping(self._supervisor.server, vm, claim, ports)
                await stack.enter_async_context(supervising)
            return await self._attend(vm, connection, published)

    def stop(self, deadline_s: float | None) -> None:
        """Part of `supervise.method.Keeper`; who asks again waits for the same end."""
        if self._is_stopping:
            return
        self._is_stopping = True
        self._cause = Cause.COMMAND
        if deadline_s is not None:
            self._deadline_s = deadline_s
        self._requests.put_nowait(_Request.STOP)

    def kill(self) -> None:
        """Part of `supervise.method.Keeper`."""
        self._cause = Cause.COMMAND
        self._requests.put_nowait(_Request.FORCE)

    async def _attend(
        self, vm: VM, connection: Connection, published: tuple[Published, ...]
    ) -> End:
        """Be the console of `vm`, and do what is asked, until it ends."""
        keyboard = self._options.stdio.keyboard
        escapes = terminal.ESCAPES if keyboard is not None else ""
        verdict = vm.verdict
        self._report(
            Started(verdict.accel, verdict.why, vm.pid, published, connection.name, escapes)
        )
        with ExitStack() as undo:
            if keyboard is not None:
                make_raw = undo.enter_context(terminal.raw_mode(keyboard))
                undo.enter_context(_after_continuing(make_raw))
                undo.enter_context(terminal.keys(keyboard, vm.console, self._escaped))
            async with asyncio.TaskGroup() as tasks:
                obeying = tasks.create_task(self._obey(vm), name="requests")
                end = await vm.wait()
                obeying.cancel()
        return end

    async def _obey(self, vm: VM) -> None:
        """Do what is requested, in order, until cancelled."""
        stopping = False
        while True:
            request = await self._next_request(press_again=stopping)
            try:
                if request is _Request.BUTTON:
                    await vm.press_power_button()
                elif request is _Request.STOP and not stopping:
                    stopping = True
                    await self._begin_stop(vm)
                else:
                    await vm.kill()
            except MachineEndedError:  # by itself, in the meantime
                continue
            except MachineError as error:  # the machine goes on; who asks twice ends it
                _log.error("%s", error)

    async def _next_request(self, *, press_again: bool) -> _Request:
        """What is wanted next: of a guest that has not obeyed, the button once more."""
        try:
            async with asyncio.timeout(lifecycle.PRESS_AGAIN_S if press_again else None):
                return await self._requests.get()
        except TimeoutError:
            return _Request.BUTTON

    async def _begin_stop(self, vm: VM) -> None:
        deadline_s = self._deadline_s
        self._report(Stopping(deadline_s))
        loop = asyncio.get_running_loop()
        loop.call_later(deadline_s, self._requests.put_nowait, _Request.FORCE)
        if vm.state is State.PAUSED:
            await vm.resume()  # it could not hear the button
        await vm.press_power_button()

    def _escaped(self, escape: terminal.Escape) -> None:
        match escape:
            case terminal.Escape.LEAVE:
                self._cause = Cause.USER
                self._requests.put_nowait(_Request.FORCE)
            case terminal.Escape.POWER_BUTTON:
                self._requests.put_nowait(_Request.BUTTON)
            case terminal.Escape.HELP | terminal.Escape.DETACH:
                self._report(Helped(terminal.ESCAPES))
            case _:
                assert_never(escape)

    def _signalled(self, number: signal.Signals) -> None:
        self._is_stopping = True
        self._cause = Cause.INTERRUPT if number is signal.SIGINT else Cause.SIGNAL
        self._requests.put_nowait(_Request.STOP)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, number)
        try:
            yield
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)


@contextmanager
def _after_continuing(make_raw: Callable[[], None]) -> Iterator[None]:
    """After a stop (SIGSTOP) and SIGCONT the shell has made the terminal its own: take it back."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGCONT, make_raw)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGCONT)
