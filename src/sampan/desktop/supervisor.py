"""Everything about a machine with a name that goes on while it runs, besides its console here.

It is written down in the store, its console is kept in a file, its control socket is served. The
methods of that socket are those of `machine.supervise`; what other kits offer is added here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec.structs import replace

from sampan.base import log
from sampan.machine.agent import served
from sampan.machine.console import Console
from sampan.machine.lifecycle import VM
from sampan.machine.model import End
from sampan.machine.registry import place
from sampan.machine.registry.logfile import LogFile
from sampan.machine.registry.record import Port, Status
from sampan.machine.registry.store import Claim
from sampan.machine.state import Identity
from sampan.machine.supervise.method import Keeper, Methods
from sampan.machine.supervise.screen import Screen
from sampan.machine.supervise.server import Server
from sampan.machine.supervise.tty import Tty
from sampan.machine.view.event import Event, State, StateChanged

_log = log.get(__name__)
_PHASES = {State.RUNNING: Status.RUNNING, State.PAUSED: Status.PAUSED}


class Supervisor:
    """Looks after one run of the machine that `claim` is about."""

    def __init__(self, claim: Claim) -> None:
        self.server = Server()
        self._claim = claim
        self._log = LogFile(claim.folder / place.CONSOLE_LOG)
        self._screen: Screen

    def prepare(self, console: Console) -> None:
        """Attach to the console, before it says anything."""
        console.attach(self._log.write)
        self._screen = Screen(console)

    @asynccontextmanager
    async def supervising(
        self,
        vm: VM,
        keeper: Keeper,
        *,
        ports: tuple[Port, ...],
        network: str,
        has_tty: bool = False,
    ) -> AsyncIterator[None]:
        """Say in the store that the machine runs, and serve its control socket.

        With `has_tty` its console is also a pseudo-terminal, `tty` in its folder.
        """
        Methods(self.server, vm, self._screen, keeper)
        if vm.spec.agent:
            served.offer(self.server, vm.agent)
        vm.journal.listen(self._happened)
        control = vm.folder.supervisor_socket
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self.server.serving(control))
            if has_tty:
                self._offer_tty(stack, vm)
            self._claim.update(
                replace(
                    self._claim.run,
                    phase=_PHASES.get(vm.state, Status.RUNNING),
                    hypervisor=Identity.of(vm.pid),
                    folder=vm.folder.path,
                    control=control,
                    accel=vm.verdict.accel.value,
                    argv=vm.argv,
                    ports=ports,
                    network=network,
                )
            )
            yield

    def _offer_tty(self, stack: AsyncExitStack, vm: VM) -> None:
        try:
            tty = Tty(vm.console, self._screen)
        except OSError as error:
            _log.warning("there is no pseudo-terminal for the console: %s", error.strerror)
            return
        stack.callback(tty.close)
        self._claim.link(place.TTY, tty.path)

    def ended(self, end: End) -> None:
        """Say in the store how the machine ended."""
        self._log.close()
        self._claim.ended(end)

    def close(self) -> None:
        """The machine did not start."""
        self._log.close()

    def _happened(self, event: Event) -> None:
        if isinstance(event, StateChanged) and event.new in _PHASES:
            self._claim.update(replace(self._claim.run, phase=_PHASES[event.new]))
