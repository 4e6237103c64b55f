"""A QEMU process: started, asked to power off, ended, and its end explained.

It is put in a session of its own, so that a Ctrl-C typed at the terminal reaches Sampan (or,
on a raw terminal, the guest), never QEMU.
"""

from __future__ import annotations

import asyncio
import shlex
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path

from sampan.base import log, proc
from sampan.base.progress import Progress
from sampan.machine import accel, interface, qmp, usernet
from sampan.machine.agent.link import Link, Plug
from sampan.machine.console import Console, Line
from sampan.machine.control import Control
from sampan.machine.driver import Build, Capability, Launch, Sink
from sampan.machine.drivers import (
    ending,
    qemu_argv,
    qemu_disk,
    qemu_publish,
    qemu_state,
    qemu_vsock,
)
from sampan.machine.error import MachineEndedError, MachineError, MachineTimeoutError
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator, End, Ending, MachineSpec, Verdict
from sampan.machine.sharing import daemon as share_daemon
from sampan.machine.state import Folder
from sampan.machine.storage import disk

_log = log.get(__name__)
_MESSAGE_BYTES = 4 << 10
_ENDINGS = {  # the reason in the SHUTDOWN event → how the machine ended
    "guest-shutdown": Ending.POWERED_OFF,
    "guest-reset": Ending.REBOOTED,
    "guest-panic": Ending.PANICKED,
    "host-qmp-quit": Ending.FORCED,
}


class Qemu:
    """One running QEMU; made by `start`."""

    def __init__(
        self, process: proc.Child, argv: tuple[str, ...], folder: Folder,
        back_ends: tuple[share_daemon.Daemon, ...] = (),
    ) -> None:  # fmt: skip
        self.pid = process.pid
        self.argv = argv
        self._program = f"{Path(argv[0]).name}: "
        self._process = process
        self._folder = folder
        self._back_ends = back_ends
        self._exit = ending.status_of(process, "wait for QEMU")
        self._control: Control
        self._console: Line
        self._version = ""
        self._shutdown_reason = ""
        self._forced = False
        self._panic = ""
        self._listeners: list[Callable[[qmp.Notice], None]] = []

    @classmethod
    async def start(
        cls, spec: MachineSpec, launch: Launch, back_ends: tuple[share_daemon.Daemon, ...] = ()
    ) -> Qemu:
        """Start QEMU with the machine paused, console and control connected.

        The caller ends it with `kill` whatever happens next; then `back_ends` end too.

        Raises:
            ToolMissingError: QEMU is not installed.
            MachineError: it did not start; the message says what it said.
        """
        folder = launch.folder
        with (
            _listener(folder.control_socket) as control,
            _listener(folder.console_socket) as serial,
            _agent_listener(launch) as agent,
        ):
            wiring = qemu_argv.Wiring(
                control_fd=control.fileno(), console_fd=serial.fileno(), link_fd=launch.link_fd,
                link_path="" if launch.link_path is None else str(launch.link_path),
                vsock_path="" if launch.vsock_path is None else str(launch.vsock_path),
                share_paths=tuple(str(back_end.path) for back_end in back_ends),
                incoming=launch.incoming, incoming_fd=launch.incoming_fd,
                agent_fd=None if agent is None else agent.fileno(),
            )  # fmt: skip
            argv = qemu_argv.build(spec, accel=launch.accel, wiring=wiring)
            with folder.messages.open("wb") as messages:
                process = proc.start(
                    argv, stdout=messages, stderr=messages, new_session=True,
                    pass_fds=wiring.descriptors, env=folder.mark,
                )  # fmt: skip
            qemu = cls(process, argv, folder, back_ends)
            try:
                folder.record(process.pid)
                await qemu._connect(launch.console, launch.agent)
            except BaseException:
                await qemu.kill()
                raise
        try:
            async with asyncio.timeout(launch.deadline_s):
                qemu._version = await qemu._control.ready()
        except (TimeoutError, MachineEndedError) as error:
            raise await qemu._not_started(launch.deadline_s, error) from error
        except BaseException:  # who waited for it has given up
            await qemu.kill()
            raise
        _log.info("QEMU %s runs as process %d with %s", qemu._version, process.pid, launch.accel)
        return qemu

    def listen(self, listener: Callable[[qmp.Notice], None]) -> None:
        """Call `listener` with each event of QEMU from now on."""
        self._listeners.append(listener)

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """Run one QMP command; see `Control.execute`."""
        return await self._control.execute(command, arguments)

    async def run(self) -> None:
        """Let the paused machine go; one that ends before it answers is explained by `wait`."""
        with suppress(MachineEndedError):
            await self.execute("cont")

    async def pause(self) -> None:
        """Stop the machine's processors, until `run`."""
        await self.execute("stop")

    async def power_button(self) -> None:
        """Press the ACPI power button: what happens then is up to the guest."""
        await self.execute("system_powerdown")

    async def forwards(self, wanted: tuple[Forward, ...]) -> tuple[Forward, ...]:
        """The published ports with the host ports they really have.

        Raises:
            MachineError: one is not listening.
        """
        if not wanted:
            return ()
        try:
            found = await qemu_publish.listening(self.execute)
        except MachineEndedError as error:
            raise MachineError(f"QEMU did not start: {(await self.wait()).detail}") from error
        try:
            return usernet.resolve(wanted, found)
        except LookupError as error:
            raise MachineError(f"QEMU does not listen for the published port {error}") from error

    async def expose(self, forward: Forward) -> Forward:
        """See `Hypervisor.expose` and `qemu_publish.expose`."""
        return await qemu_publish.expose(self.execute, forward)

    async def unexpose(self, forward: Forward) -> None:
        """See `Hypervisor.unexpose` and `qemu_publish.unexpose`."""
        await qemu_publish.unexpose(self.execute, forward)

    async def build(self) -> Build:
        """See `Movable.build`."""
        kind = await self.execute("qom-get", {"path": "/machine", "property": "type"})
        return Build(version=self._version, machine=str(kind))

    async def unplug(self, spec: MachineSpec) -> None:
        """See `Movable.unplug`.

        Raises:
            MachineTimeoutError: the guest does not let go of the device.
        """
        if spec.vsock is not None:
            await qemu_state.unplug(self, qemu_vsock.DEVICE)

    async def plug(self, spec: MachineSpec, accel: Accelerator) -> None:
        """See `Movable.plug`."""
        if spec.vsock is not None:
            await self.execute("device_add", dict(qemu_vsock.properties(spec, accel)))

    async def save(self, state: Sink, progress: Progress) -> None:
        """See `Movable.save` and `qemu_state.save`."""
        task = progress.start("saving the machine's memory", None)
        failed = True
        try:
            await qemu_state.save(self, self._folder.state_socket, state, task)
            failed = False
        finally:
            progress.finish(task, failed=failed)

    async def load(self, fd: int) -> None:
        """See `Movable.load`.

        Raises:
            StateError: QEMU does not take the state; it has ended over it.
        """
        try:
            await qemu_state.load(self, f"fd:{fd}")
        except MachineEndedError as error:
            said = (await self.wait()).detail
            raise qemu_state.StateError(f"QEMU does not take this state: {said}") from error

    def panicked(self, detail: str) -> None:
        """Take note that the guest's kernel gave up, and end the machine."""
        self._panic = detail
        self._signal()

    async def kill(self) -> End:
        """End QEMU at once, as pulling the plug does; the guest cannot object."""
        if not self._exit.done():
            self._forced = True
            self._signal()
        return await self.wait()

    async def wait(self) -> End:
        """Wait until QEMU has ended, and say how. May be called any number of times."""
        status = await asyncio.shield(self._exit)
        if hasattr(self, "_console"):
            await self._console.closed()  # its last words, and the control's, are in by then
        await share_daemon.stop(self._back_ends)
        return self._explain(status)

    async def _connect(self, console: Console, agent: Link | None) -> None:
        loop = asyncio.get_running_loop()
        control, path = Control(self._noticed), str(self._folder.control_socket)
        await loop.create_unix_connection(lambda: control, path)
        self._control = control
        line = Line(console)
        await loop.create_unix_connection(lambda: line, str(self._folder.console_socket))
        self._console = line
        if (link := agent) is not None:
            await loop.create_unix_connection(lambda: Plug(link), str(self._folder.agent_socket))

    async def _not_started(self, deadline_s: float, error: Exception) -> MachineError:
        if isinstance(error, TimeoutError):
            await self.kill()
            return MachineTimeoutError(f"QEMU was not ready within {deadline_s:g} s")
        status = await asyncio.shield(self._exit)
        said = self._messages() or f"QEMU {proc.explain_status(status)}"
        if (path := qemu_disk.locked_path(said)) is not None:
            return disk.in_use(path)
        return MachineError(
            f"QEMU did not start: {said}", hint=f"it was started as: {shlex.join(self.argv)}"
        )

    def _noticed(self, notice: qmp.Notice) -> None:
        if notice.name == "SHUTDOWN":
            self._shutdown_reason = str(notice.data.get("reason", ""))
        elif notice.name == "GUEST_PANICKED":
            self._panic = self._panic or "the guest reported a panic of its kernel"
        for listener in self._listeners:
            listener(notice)

    def _signal(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    def _explain(self, status: int) -> End:
        if self._panic:
            return End(ending=Ending.PANICKED, detail=self._panic)
        if self._forced:
            return End(ending=Ending.FORCED)
        known = _ENDINGS.get(self._shutdown_reason)
        if known is not None and status == 0:
            return End(ending=known)
        how = f"QEMU {proc.explain_status(status)}"
        if self._shutdown_reason == "host-signal":
            how = "QEMU was told to end by a signal from outside"
        said = self._messages()
        return End(ending=Ending.DIED, detail=f"{how}: {said}" if said else how)

    def _messages(self) -> str:
        """The last of what QEMU printed."""
        try:
            with self._folder.messages.open("rb") as stream:
                size = stream.seek(0, 2)
                stream.seek(max(0, size - _MESSAGE_BYTES))
                text = stream.read().decode(errors="replace")
        except FileNotFoundError:
            return ""  # the runtime folder is gone already: nothing to add
        lines = (line.strip().removeprefix(self._program) for line in text.splitlines())
        return "\n".join(line for line in lines if line and ": info: " not in line)


class QemuDriver:
    """See `Driver`. `virtiofsd` is a program of that kind to serve shares; None: we do."""

    name = "qemu"
    capabilities = frozenset({
        Capability.AGENT, Capability.POWER_BUTTON, Capability.PAUSE, Capability.PUBLISH, Capability.EXPOSE, Capability.LINK_FD,
        Capability.LINK_PATH, Capability.VSOCK, Capability.HOST_INTERFACE, Capability.DISKS, Capability.QCOW2, Capability.GROW_DISK,
        Capability.SUSPEND, Capability.SNAPSHOT, Capability.RELOCATE,
        Capability.VIRTIOFS, Capability.OWNERS, Capability.EVENTS, Capability.PLAN9, Capability.DISCS, Capability.DISPLAY, Capability.USB, Capability.DEVICES,
    })  # fmt: skip

    def __init__(self, *, virtiofsd: Path | None = None) -> None:
        self._virtiofsd = virtiofsd

    def verdict(self, spec: MachineSpec, root: Path) -> Verdict:
        """See `Driver.verdict`.

        Raises:
            MachineError: the host's device that it is to be connected to cannot be used.
        """
        interface.check(spec)
        if spec.accel is None:
            return accel.choose(spec.arch, root)
        return accel.require(spec.arch, spec.accel, root)

    async def start(self, spec: MachineSpec, launch: Launch) -> Qemu:
        """See `Qemu.start`; shares of virtiofs have a back end that is started before."""
        back_ends = await share_daemon.start(
            spec.shares, launch.folder, self._virtiofsd, launch.controls
        )
        try:
            return await Qemu.start(spec, launch, back_ends)
        except BaseException as error:
            fault = await share_daemon.stop(back_ends)
            if fault is not None and isinstance(error, MachineError):
                raise fault from error
            raise


def _agent_listener(launch: Launch) -> AbstractContextManager[socket.socket | None]:
    """A listening socket for the agent's channel, if the machine is to have one."""
    return nullcontext() if launch.agent is None else _listener(launch.folder.agent_socket)


@contextmanager
def _listener(path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket; QEMU inherits it, and our end is closed after the block.

    Connections made in between wait in its backlog, so neither side has to poll.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        path.unlink(missing_ok=True)  # of the process that this one follows
        listener.bind(str(path))
        listener.listen(4)
        yield listener
