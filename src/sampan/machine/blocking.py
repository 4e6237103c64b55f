"""The machine kit without asyncio: the same names, each call waits for its answer.

One thread runs the event loop of one machine; these objects hand it coroutines.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    contextmanager,
    suppress,
)
from pathlib import Path
from typing import Any, TypeVar, Unpack

from sampan.base.progress import Progress
from sampan.machine import qmp
from sampan.machine.agent.blocking import BlockingAgent
from sampan.machine.agent.client import ExecOptions
from sampan.machine.agent.program import ExecResult
from sampan.machine.body import LaunchOptions
from sampan.machine.console import Console, Match
from sampan.machine.error import MachineEndedError
from sampan.machine.forward import Forward
from sampan.machine.lifecycle import POWER_OFF_DEADLINE_S, VM
from sampan.machine.model import End, MachineSpec, Verdict
from sampan.machine.saving import clone
from sampan.machine.saving.suspension import Suspension
from sampan.machine.state import Folder
from sampan.machine.view.event import Event, State
from sampan.machine.view.metrics import Metrics
from sampan.machine.view.readiness import Condition
from sampan.machine.vsock import BlockingEndpoint

T = TypeVar("T")
R = TypeVar("R")
_LOOK_UP_S = 0.5


class _Loop:
    """Runs coroutines and callables on the machine's own loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError:  # the loop is closed
            work.close()
            raise MachineEndedError("the machine has ended with the block it was in") from None
        try:
            return future.result()
        except BaseException:
            future.cancel()  # Ctrl-C: nobody waits for it any more
            raise

    def call(self, function: Callable[[], T]) -> T:
        async def called() -> T:
            return function()

        return self.run(called())


class BlockingConsole:
    """See `sampan.machine.console.Console`."""

    def __init__(self, vm: VM, loop: _Loop) -> None:
        self._console = vm.console
        self._loop = loop

    @property
    def live(self) -> bool:
        """See `Console.live`."""
        return self._console.live

    def attach(self, sink: Callable[[bytes], None]) -> None:
        """See `Console.attach`; `sink` is called in the machine's thread."""
        self._loop.call(lambda: self._console.attach(sink))

    def expect(self, wanted: str | re.Pattern[str], *, timeout_s: float) -> Match:
        """See `Console.expect`."""
        return self._loop.run(self._console.expect(wanted, timeout_s=timeout_s))

    def send(self, text: str | bytes) -> None:
        """See `Console.send`."""
        self._loop.call(lambda: self._console.send(text))

    def send_line(self, text: str) -> None:
        """See `Console.send_line`."""
        self._loop.call(lambda: self._console.send_line(text))

    def seen(self, pattern: re.Pattern[str]) -> Match:
        """See `Console.seen`."""
        return self._loop.run(self._console.seen(pattern))

    def pause(self) -> None:
        """See `Console.pause`."""
        self._loop.call(self._console.pause)

    def resume(self) -> None:
        """See `Console.resume`."""
        self._loop.call(self._console.resume)

    def skip(self) -> None:
        """See `Console.skip`."""
        self._loop.call(self._console.skip)

    def closed(self) -> None:
        """See `Console.closed`."""
        self._loop.run(self._console.closed())

    @property
    def transcript(self) -> str:
        """What the console has shown so far, as plain text."""
        return str(self._console.transcript)

    @property
    def position(self) -> int:
        """How many characters it has shown so far."""
        return self._console.transcript.end

    def since(self, position: int) -> str:
        """What it has shown after `position`, as plain text."""
        return self._console.transcript.since(position)


class Machine:
    """A running machine; see `sampan.machine.lifecycle.VM`."""

    def __init__(self, vm: VM, loop: _Loop) -> None:
        self._vm = vm
        self._loop = loop
        self.console = BlockingConsole(vm, loop)

    @classmethod
    def launch(
        cls,
        spec: MachineSpec,
        options: LaunchOptions | None = None,
        *,
        prepare: Callable[[Console], None] | None = None,
    ) -> AbstractContextManager[Machine]:
        """See `VM.launch`; `prepare` is called in the machine's thread.

        Raises:
            SampanError: as `VM.launch`.
        """
        return _held(lambda: VM.launch(spec, options, prepare=prepare), cls, spec.name)

    @classmethod
    def resume_from(
        cls,
        folder: Path,
        options: LaunchOptions | None = None,
        *,
        spec: MachineSpec | None = None,
        prepare: Callable[[Console], None] | None = None,
    ) -> AbstractContextManager[Machine]:
        """See `VM.resume_from`; `prepare` is called in the machine's thread.

        Raises:
            SampanError: as `VM.resume_from`.
        """
        return _held(
            lambda: VM.resume_from(folder, options, spec=spec, prepare=prepare), cls, folder.name
        )

    @property
    def spec(self) -> MachineSpec:
        """What this machine is."""
        return self._vm.spec

    @property
    def vsock(self) -> BlockingEndpoint:
        """See `VM.vsock`."""
        return BlockingEndpoint(self._vm.vsock)

    @property
    def verdict(self) -> Verdict:
        """Its accelerator, and why that one."""
        return self._vm.verdict

    @property
    def forwards(self) -> tuple[Forward, ...]:
        """The ports it publishes now, with their real host ports: the spec's, then others."""
        return self._vm.forwards

    @property
    def pid(self) -> int:
        """The hypervisor's process."""
        return self._vm.pid

    @property
    def argv(self) -> tuple[str, ...]:
        """The hypervisor's command line."""
        return self._vm.argv

    @property
    def folder(self) -> Folder:
        """Its runtime folder."""
        return self._vm.folder

    def listen(self, listener: Callable[[qmp.Notice], None]) -> None:
        """See `VM.listen`; `listener` is called in the machine's thread."""
        self._loop.call(lambda: self._vm.listen(listener))

    @property
    def agent(self) -> BlockingAgent:
        """See `VM.agent`."""
        return BlockingAgent(self._vm.agent, self._loop)

    def exec(self, argv: Sequence[str], **options: Unpack[ExecOptions]) -> ExecResult:
        """See `Agent.exec`."""
        return self._loop.run(self._vm.exec(argv, **options))

    def copy_to(self, source: Path | str, target: str, *, container: str = "") -> None:
        """See `Agent.copy_to`."""
        self.agent.copy_to(source, target, container=container)

    def copy_from(self, source: str, target: Path | str, *, container: str = "") -> None:
        """See `Agent.copy_from`."""
        self.agent.copy_from(source, target, container=container)

    def execute(self, command: str, arguments: Mapping[str, qmp.Json] | None = None) -> qmp.Json:
        """See `VM.execute`."""
        return self._loop.run(self._vm.execute(command, arguments))

    @property
    def state(self) -> State:
        """Where in its life the machine is."""
        return self._vm.state

    def events(self, *, since: int = 0) -> Iterator[Event]:
        """See `VM.events`."""
        following = self._vm.events(since=since)

        async def after() -> Event | None:
            return await anext(following, None)

        while (event := self._loop.run(after())) is not None:
            yield event

    def wait_ready(self, condition: Condition) -> None:
        """See `VM.wait_ready`."""
        self._loop.run(self._vm.wait_ready(condition))

    def metrics(self) -> Metrics:
        """See `VM.metrics`."""
        return self._loop.run(self._vm.metrics())

    def pause(self) -> None:
        """See `VM.pause`."""
        self._loop.run(self._vm.pause())

    def resume(self) -> None:
        """See `VM.resume`."""
        self._loop.run(self._vm.resume())

    def expose(self, forward: Forward) -> Forward:
        """See `VM.expose`."""
        return self._loop.run(self._vm.expose(forward))

    def unexpose(self, forward: Forward) -> Forward:
        """See `VM.unexpose`."""
        return self._loop.run(self._vm.unexpose(forward))

    def grow_disk(self, index: int, size_bytes: int) -> None:
        """See `VM.grow_disk`."""
        self._loop.run(self._vm.grow_disk(index, size_bytes))

    def suspend(
        self, folder: Path, *, progress: Progress | None = None,
        on_saved: Callable[[Suspension], None] | None = None,
    ) -> Suspension:  # fmt: skip
        """See `VM.suspend`; `on_saved` is called in the machine's thread."""
        return self._loop.run(self._vm.suspend(folder, progress=progress, on_saved=on_saved))

    def snapshot(self, folder: Path, *, progress: Progress | None = None) -> Suspension:
        """See `VM.snapshot`."""
        return self._loop.run(self._vm.snapshot(folder, progress=progress))

    def restore(self, folder: Path) -> None:
        """See `VM.restore`."""
        self._loop.run(self._vm.restore(folder))

    def relocate(self) -> float:
        """See `VM.relocate`."""
        return self._loop.run(self._vm.relocate())

    def press_power_button(self) -> None:
        """See `VM.press_power_button`."""
        self._loop.run(self._vm.press_power_button())

    def power_off(self, *, deadline_s: float = POWER_OFF_DEADLINE_S) -> End:
        """See `VM.power_off`."""
        return self._loop.run(self._vm.power_off(deadline_s=deadline_s))

    def kill(self) -> End:
        """See `VM.kill`."""
        return self._loop.run(self._vm.kill())

    def wait(self, *, timeout_s: float | None = None) -> End:
        """See `VM.wait`."""
        return self._loop.run(self._vm.wait(timeout_s=timeout_s))


launch = Machine.launch
resume = Machine.resume_from


@contextmanager
def clones(
    folder: Path, count: int, disks: Path, options: LaunchOptions | None = None
) -> Iterator[tuple[Machine, ...]]:
    """Run several machines that go on from the one that is saved in `folder`.

    See `saving.clone.clones`.

    Raises:
        SampanError: as there.
    """

    def machines(vms: tuple[VM, ...], loop: _Loop) -> tuple[Machine, ...]:
        return tuple(Machine(vm, loop) for vm in vms)

    with _held(lambda: clone.clones(folder, count, disks, options), machines, folder.name) as made:
        yield made


@contextmanager
def _held(
    living: Callable[[], AbstractAsyncContextManager[T]], wrap: Callable[[T, _Loop], R], name: str
) -> Iterator[R]:
    """What `living` gives, alive in a thread of its own, as `wrap` makes it usable from here."""
    started: Future[R] = Future()
    leave: Future[None] = Future()

    async def live() -> None:
        task, left = asyncio.current_task(), asyncio.wrap_future(leave)
        assert task is not None

        def give_up(_: object) -> None:
            if not started.done():  # Ctrl-C while it starts, or becomes ready
                task.cancel()

        left.add_done_callback(give_up)
        async with living() as alive:
            started.set_result(wrap(alive, _Loop(asyncio.get_running_loop())))
            await left

    def run() -> None:
        try:
            asyncio.run(live())
        except BaseException as error:  # noqa: BLE001  it is raised again in the caller's thread
            if started.done():
                ended.set_exception(error)
            else:
                started.set_exception(error)
        else:
            ended.set_result(None)

    ended: Future[None] = Future()
    thread = threading.Thread(target=run, name=f"machine {name}")
    try:
        thread.start()
        # a Ctrl-C that comes a moment before we wait does not wake us: look up now and then
        while not wait((started,), timeout=_LOOK_UP_S).done:
            pass
        yield started.result()
    finally:
        leave.set_result(None)
        with suppress(RuntimeError):  # Ctrl-C came before it had begun; it ends by itself
            thread.join()
    ended.result()
