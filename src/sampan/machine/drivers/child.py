"""A hypervisor that is a process with its console on a terminal: what vfkit and HyperKit share.

Subclasses know how to talk to it. Both start the guest at once; what it says meanwhile waits on
the terminal until `run`. Neither says how its guest ended, so an exit with status 0 is
taken for a guest that powered itself off.
"""

from __future__ import annotations

import asyncio
import shlex
import signal
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from sampan.base import log, proc
from sampan.errors import SampanError, UnsupportedError
from sampan.machine import qmp
from sampan.machine.driver import Launch
from sampan.machine.drivers import ending
from sampan.machine.drivers.pty import PtyTransport
from sampan.machine.error import MachineEndedError, MachineError
from sampan.machine.forward import Forward
from sampan.machine.model import End, Ending

_log = log.get(__name__)
_MESSAGE_BYTES = 4 << 10


class Child:
    """One running hypervisor. Part of `Hypervisor`; subclasses add the rest.

    `left` are files in the runtime folder to remove afterwards.
    """

    program: ClassVar[str] = ""
    rebooted: ClassVar[int | None] = (
        None  # the status that says that the guest wants to be started again
    )

    def __init__(self, argv: tuple[str, ...], launch: Launch, *, reboots: bool) -> None:
        self.argv = argv
        self.pid = 0
        self.left: list[Path] = []
        self._launch = launch
        self._reboots = reboots
        self._console = launch.console
        self._pty = PtyTransport(launch.console)
        self._pty.pause_reading()  # who is to hear all of it is not there before `run`
        self._process: proc.Child
        self._forced = False
        self._panic = ""
        self._listeners: list[Callable[[qmp.Notice], None]] = []
        self._end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        try:
            self._spawn()
        except BaseException:
            self._pty.close()
            raise
        self._watching = asyncio.get_running_loop().create_task(
            self._watch(), name=f"the end of {self.program}"
        )

    @property
    def terminal(self) -> str:
        """The terminal that is its console."""
        return self._pty.path

    def listen(self, listener: Callable[[qmp.Notice], None]) -> None:
        """See `Hypervisor.listen`; of its events only reboots are known."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """See `Hypervisor.run`: the guest goes already, and is heard from now on."""
        self._pty.resume_reading()

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """See `Hypervisor.execute`.

        Raises:
            UnsupportedError: always.
        """
        del arguments
        raise UnsupportedError(
            command, self.program, "it does not speak QMP", instead="use the driver qemu"
        )

    async def forwards(self, wanted: tuple[Forward, ...]) -> tuple[Forward, ...]:
        """See `Hypervisor.forwards`: there are none, or the spec would have been refused."""
        return wanted

    async def expose(self, forward: Forward) -> Forward:
        """See `Hypervisor.expose`.

        Raises:
            UnsupportedError: always.
        """
        raise self._publishes_nothing(forward)

    async def unexpose(self, forward: Forward) -> None:
        """See `Hypervisor.unexpose`; raises as `expose`."""
        raise self._publishes_nothing(forward)

    def panicked(self, detail: str) -> None:
        """See `Hypervisor.panicked`."""
        self._panic = detail
        self.signal(signal.SIGKILL)

    async def kill(self) -> End:
        """See `Hypervisor.kill`."""
        if not self._end.done():
            self._forced = True
            self.signal(signal.SIGKILL)
        return await self.wait()

    async def wait(self) -> End:
        """See `Hypervisor.wait`."""
        return await asyncio.shield(self._end)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, unless it has ended."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    def has_sockets(self, names: Iterable[str], folder: Path | None) -> None:
        """It makes sockets of these names in its runtime folder: link to them from `folder`.

        A link may have a path of any length, a socket may not. All of them go with the machine.
        """
        for name in names:
            socket = self._launch.folder.path / name
            self.left.append(socket)
            if folder is not None:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                link = folder / name
                link.unlink(missing_ok=True)
                link.symlink_to(socket)
                self.left.append(link)

    def check_alive(self, what: str) -> None:
        """Refuse to do `what` with a machine that has ended.

        Raises:
            MachineEndedError: it has.
        """
        if self._end.done():
            raise MachineEndedError(f"cannot {what}: the machine has ended")

    def not_started(self, why: str) -> MachineError:
        """The error of a hypervisor that did not come up."""
        return MachineError(
            f"{self.program} did not start: {why}",
            hint=f"it was started as: {shlex.join(self.argv)}",
        )

    def _publishes_nothing(self, forward: Forward) -> UnsupportedError:
        return UnsupportedError(
            f"a published port ({forward})", self.program, "its own network has none",
            instead="use the driver qemu, or a network of Sampan's",
        )  # fmt: skip

    def _spawn(self) -> None:
        folder, descriptor = self._launch.folder, self._launch.link_fd
        with folder.messages.open("ab") as messages:
            self._process = proc.start(
                self.argv, stdin=self._pty.terminal, stdout=self._pty.terminal, stderr=messages,
                pass_fds=() if descriptor is None else (descriptor,), new_session=True,
                env=folder.mark,
            )  # fmt: skip
        self.pid = self._process.pid
        folder.record(self.pid)

    async def _watch(self) -> None:
        """Wait for the process, start it again as long as the guest reboots, and explain its end."""
        while True:
            status = await ending.status_of(self._process, f"wait for {self.program}")
            if not self._wants_reboot(status):
                break
            _log.info("the guest of process %d rebooted", self.pid)
            for listener in self._listeners:  # who listens may find that it panicked
                listener(qmp.Notice("RESET", {"guest": True}, 0.0))
            if self._panic:
                break
            try:
                self._spawn()
            except (OSError, SampanError) as error:
                _log.error("cannot start %s again: %s", self.program, error)
                break
        self._pty.hang_up()
        await self._console.closed()
        end = self._explain(status)
        for path in self.left:
            path.unlink(missing_ok=True)
        self._end.set_result(end)

    def _wants_reboot(self, status: int) -> bool:
        again = self.rebooted is not None and status == self.rebooted
        return again and self._reboots and not self._forced and not self._panic

    def _explain(self, status: int) -> End:
        if self._panic:
            return End(ending=Ending.PANICKED, detail=self._panic)
        if self._forced:
            return End(ending=Ending.FORCED)
        if status == 0:
            return End(ending=Ending.POWERED_OFF)
        if status == self.rebooted:
            return End(ending=Ending.REBOOTED)
        said = self._messages()
        how = f"{self.program} {proc.explain_status(status)}"
        return End(ending=Ending.DIED, detail=f"{how}: {said}" if said else how)

    def _messages(self) -> str:
        """The last of what it printed on stderr."""
        try:
            text = self._launch.folder.messages.read_bytes()[-_MESSAGE_BYTES:]
        except FileNotFoundError:
            return ""  # the runtime folder is gone already
        return text.decode(errors="replace").strip()
