"""The ports that were opened while a machine ran: by `sampan net expose`, and by the guest itself.

When the machine goes on from a saved state they are opened again, as far as that can be: a program
in the guest that had asked for a port does not ask twice. A clone does not get them, for its
original has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from sampan.base import log
from sampan.errors import SampanError
from sampan.net.services.portcontrol import Allowed, Port

if TYPE_CHECKING:
    from sampan.desktop.network import Options
    from sampan.machine.lifecycle import VM
    from sampan.net.runtime.forward.asked import AskedForwards
    from sampan.net.runtime.usernet import UserNetwork

_log = log.get(__name__)


class Ports(Protocol):
    """The ports of one machine's connection."""

    def answering(self, vm: VM) -> AbstractContextManager[None]:
        """Answer a machine that runs, when its programs ask for ports."""

    def now(self) -> Options:
        """How the machine is connected by now."""

    def reopen(self, saved: Options) -> None:
        """Open again what was open when a state was saved; what cannot be had the log tells."""


class Fixed:
    """Those of a network that is not the machine's own: nobody adds any on its behalf."""

    def __init__(self, wired: Options) -> None:
        self._wired = wired

    def answering(self, vm: VM) -> AbstractContextManager[None]:
        """See `Ports.answering`: nobody answers."""
        return nullcontext()

    def now(self) -> Options:
        """See `Ports.now`."""
        return self._wired

    def reopen(self, saved: Options) -> None:
        """See `Ports.reopen`."""


class Opened:
    """Those of a machine's own network, which has the published ones by now."""

    def __init__(self, network: UserNetwork, wired: Options) -> None:
        self._network = network
        self._wired = wired
        self._published = frozenset(network.forwards())
        self._asked: AskedForwards | None = None

    @contextmanager
    def answering(self, vm: VM) -> Iterator[None]:
        """See `Ports.answering`."""
        allowed = self._wired.guest_forwards
        if allowed is Allowed.NONE:
            self.reopen(self._wired)
            yield
            return
        from sampan.net.link import multiplex
        from sampan.net.runtime.control.asking import answering
        from sampan.net.services import portcontrol
        from sampan.vhost.core.vsock_greeting import names_for_host_port

        endpoint = vm.vsock
        name, _ = names_for_host_port(portcontrol.VSOCK_PORT)
        dial = partial(endpoint.connect_blocking, multiplex.PORT)
        with answering(self._network, endpoint.folder / name, dial, allowed) as self._asked:
            self.reopen(self._wired)
            yield

    def now(self) -> Options:
        """See `Ports.now`."""
        ports: tuple[Port, ...] = ()
        known = self._published
        if self._asked is not None:
            asked = self._asked
            ports, theirs = self._network.call(lambda _: (asked.ports, asked.forwards))
            known = known.union(theirs)
        added = (str(each) for each in self._network.forwards() if each not in known)
        return replace(self._wired, added=tuple(added), asked=ports)

    def reopen(self, saved: Options) -> None:
        """See `Ports.reopen`."""
        from sampan.net.services import forward

        there = self._network.forwards()
        for each in (each for text in saved.added for each in forward.parse(text)):
            if each not in there:
                _try(partial(self._network.expose, each), str(each))
        for port in saved.asked:
            _try(partial(self._ask, port), _place(port))

    def _ask(self, port: Port) -> None:
        asked = self._asked
        if asked is not None:
            self._network.call(lambda _: asked.expose(port))


def _try(opening: Callable[[], object], port: str) -> None:
    try:
        opening()
    except SampanError as error:
        _log.warning("%s had been opened while the machine ran, and cannot be now: %s", port, error)


def _place(port: Port) -> str:
    return port.out_path or f"port {port.out_port}/{port.proto} of {port.out_ip}"
