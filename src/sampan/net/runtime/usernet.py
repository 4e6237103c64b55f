"""A network in a thread of its own: what programs, the command line and machines use.

    with UserNetwork(Settings(forwards=forward.parse("8080:80"))) as network:
        network.plug(link, name="web")
        ...

Methods may be called from any thread and return when the thing is done: a forward listens,
a link is plugged in. Whoever lives in asyncio wraps the futures that `submit` returns.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Self, TypeVar

from sampan.base.loop import Loop
from sampan.net.hook import Hook
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.engine import Link, Plug
from sampan.net.services.forward import Forward
from sampan.net.setting import Settings

_Result = TypeVar("_Result")
_STOP_S = 10.0


class UserNetwork:
    """A user-mode network. It runs from its beginning until `close`; `hooks` are `net.hook`'s.

    Raises:
        UsageError: the settings make no sense.
        SampanError: a forward of the settings cannot listen.
    """

    def __init__(self, settings: Settings | None = None, hooks: Iterable[Hook[Any]] = ()) -> None:
        self.settings = settings or Settings()
        self._loop = Loop(name="network", is_wakeful=self.settings.wakeful)
        self._when_over: list[Callable[[], None]] = []
        try:
            self._assembly = Assembly(self._loop, self.settings, hooks)
        except BaseException:
            self._loop.close()
            raise
        self._thread = threading.Thread(target=self._run, name="sampan-net", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run()
        finally:
            try:
                self._assembly.close()
            finally:
                self._loop.close()
                for told in self._when_over:
                    told()

    def when_over(self, told: Callable[[], None]) -> None:
        """Call `told` when it has ended, by `close` or by a grave fault; at once if it has."""
        self._when_over.append(told)
        if not self._thread.is_alive():
            told()

    def submit(self, work: Callable[[Assembly], _Result]) -> Future[_Result]:
        """Do something in the network's thread, with all of the network at hand.

        Raises:
            LoopClosedError: the network has been closed.
        """
        return self._loop.submit(lambda: work(self._assembly))

    def call(self, work: Callable[[Assembly], _Result]) -> _Result:
        """`submit`, and wait for the result.

        Raises:
            LoopClosedError: the network has been closed.
        """
        if threading.current_thread() is self._thread:
            return work(self._assembly)
        return self.submit(work).result()

    def plug(self, link: Link, *, name: str, mac: bytes = b"", mtu: int | None = None) -> Plug:
        """Connect a link, which belongs to the network from now on."""
        return self.call(lambda network: network.plug(link, name=name, mac=mac, mtu=mtu))

    def unplug(self, plug: Plug) -> None:
        """Disconnect a link; its machine's flows end."""
        self.call(lambda network: network.unplug(plug))

    def expose(self, forward: Forward) -> Forward:
        """Forward a port of the host; it listens when this returns.

        Raises:
            PortTakenError: somebody has the port; the message names who.
            BindError: the system does not allow it.
        """
        return self.call(lambda network: network.expose(forward))

    def unexpose(self, forward: Forward) -> Forward:
        """Forward it no more.

        Raises:
            NoSuchForwardError: nothing is forwarded there.
        """
        return self.call(lambda network: network.unexpose(forward))

    def forwards(self) -> tuple[Forward, ...]:
        """The forwards that listen."""
        return self.call(lambda network: network.forwards())

    def close(self) -> None:
        """End all flows, forwards and links. Nothing happens the second time.

        From its own thread (a hook, an observer) it ends after this turn.
        """
        if self._thread.is_alive():
            self._loop.stop()
            if threading.current_thread() is not self._thread:
                self._thread.join(_STOP_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
