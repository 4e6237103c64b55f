"""The ports that a machine asks for: forwards through its forwarder that its programs make.

They are the machine's own. Asking again for what is there changes nothing; asking for a port that
leads elsewhere replaces it, for whoever asked first may have gone without a word (a machine that
booted anew). Removing what is not there, or leads elsewhere by now, is no fault and does nothing.
"""

from __future__ import annotations

from contextlib import suppress

import msgspec

from sampan.net.link import multiplex
from sampan.net.link.multiplex import Destination
from sampan.net.runtime.forward.multiplexed import MultiplexedForwards
from sampan.net.runtime.forward.table import NoSuchForwardError
from sampan.net.services import portcontrol
from sampan.net.services.forward import Forward
from sampan.net.services.portcontrol import UNIX, Allowed, Port


class AskedForwards:
    """Does what a machine asks, as far as it is `allowed`. Belongs to the loop's thread."""

    def __init__(self, forwards: MultiplexedForwards, allowed: Allowed) -> None:
        self._forwards = forwards
        self._allowed = allowed
        self._ports: dict[Forward, Port] = {}

    @property
    def ports(self) -> tuple[Port, ...]:
        """Those that listen, as they were asked for, with what 0 and all addresses became."""
        return tuple(self._ports[each] for each in self.forwards)

    @property
    def forwards(self) -> tuple[Forward, ...]:
        """The same as forwards."""
        listening = self._forwards.forwards
        return tuple(each for each in self._ports if each in listening)

    def expose(self, port: Port) -> None:
        """Begin to listen.

        Raises:
            UsageError: it makes no sense, or is not allowed.
            PortTakenError: another program listens there.
            BindError: the system does not allow it.
        """
        wanted = portcontrol.asked(port, self._allowed)
        for forward, before in tuple(self._ports.items()):
            if forward.place == wanted.place and (wanted.port or wanted.path):
                if _is_same(forward, before, wanted, port) and forward in self.forwards:
                    return
                self._remove(forward)
        destination = None
        if wanted.path:
            destination = Destination(multiplex.Protocol.UNIX, path=port.in_path.encode())
        made = self._forwards.expose(wanted, destination)
        if port.proto != UNIX:
            port = msgspec.structs.replace(port, out_ip=made.bind, out_port=made.port)
        self._ports[made] = port

    def unexpose(self, port: Port) -> None:
        """Listen no more; its connections go on.

        Raises:
            UsageError: it makes no sense.
        """
        wanted = portcontrol.asked(port, self._allowed)
        for forward, before in tuple(self._ports.items()):
            if _is_same(forward, before, wanted, port):
                self._remove(forward)

    def _remove(self, forward: Forward) -> None:
        del self._ports[forward]
        with suppress(NoSuchForwardError):  # the host's user was quicker
            self._forwards.unexpose(forward)


def _is_same(forward: Forward, port: Port, other: Forward, other_port: Port) -> bool:
    return forward == other and port.in_path == other_port.in_path
