"""Forwards whose connections go into the machine through one stream, not through its network.

    client → listening socket → channel of the trunk → vpnkit-forwarder in the machine → server

For machines that have no network, or whose network is not ours, and for servers that listen on
the machine's loopback interface, in a network of its own, or at a Unix socket in it. Something in
the machine has to speak the other side: VPNKit's vpnkit-forwarder does, on vsock port 62373
(`net.link.multiplex.PORT`).

    forwards = MultiplexedForwards(loop, Held(loop, stream))    # stream: a connected socket
    forwards.expose(Forward(port=8080, guest_port=80))          # to 127.0.0.1:80 in the machine
    forwards.expose(Forward(path="/run/docker.sock", guest_port=0),
                    Destination(Protocol.UNIX, path=b"/var/run/docker.sock"))

A connection is taken at once and reset if the machine's side breaks it off, as it does when
nobody listens there: the host's kernel has said yes before we can ask. When the line is over
(`forward.line`) all forwards and connections end; when only a session is lost, its connections.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable

from sampan.base.acceptor import Acceptor, reset
from sampan.base.loop import Loop
from sampan.errors import SampanError, UsageError
from sampan.net.link import multiplex
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import Destination
from sampan.net.runtime.forward.channelled import ChannelledForward
from sampan.net.runtime.forward.junction import Junction
from sampan.net.runtime.forward.line import Line
from sampan.net.runtime.forward.table import Listening, Table
from sampan.net.runtime.forward.trunk import Trunk
from sampan.net.services.forward import Forward, Protocol

_LOOPBACK = "127.0.0.1"
_PROTOCOLS = {Protocol.TCP: multiplex.Protocol.TCP, Protocol.UDP: multiplex.Protocol.UDP}


class MultiplexedForwards:
    """The forwards of one machine's forwarder. Owns the line; belongs to the loop's thread.

    `over` is called once, when the line is over, with what is to be said about it.
    """

    def __init__(
        self, loop: Loop, line: Line, *, over: Callable[[SampanError], None] | None = None
    ) -> None:
        self._loop = loop
        self._line = line
        self._over = over
        self._table = Table()
        self._connections: set[Junction] = set()
        line.when_over(self._lost)

    @property
    def forwards(self) -> tuple[Forward, ...]:
        """Those that listen, in the order they were added."""
        return self._table.forwards

    @property
    def connections(self) -> int:
        """How many there are, those included that have yet to take what the machine said last.

        Datagrams have none.
        """
        return len(self._connections)

    def expose(self, forward: Forward, destination: Destination | None = None) -> Forward:
        """Begin to listen; the forward as it is, with the port that 0 became.

        What comes leads to the forward's `guest` (an address that the machine reaches; its own
        loopback interface if empty) and port, or to `destination`, whatever the forward says.

        Raises:
            PortTakenError: another program or forward listens there; the message names it.
            BindError: the system does not allow it.
            UsageError: its guest is a name, or datagrams would become a stream.
            LinkError: the line is over.
        """
        to = destination or destination_of(forward)
        is_udp = forward.protocol is Protocol.UDP
        if is_udp is not (to.protocol is multiplex.Protocol.UDP):
            raise UsageError(f"cannot forward {forward}: datagrams go to datagrams only")
        if self._line.is_over:
            raise LinkError(f"cannot forward {forward}: the machine's forwarder is gone")

        def listen(bound: socket.socket) -> Listening:
            if is_udp:
                return ChannelledForward(self._loop, self._line, bound, to)
            return Acceptor(self._loop, bound, lambda connection: self._take(connection, to))

        return self._table.expose(forward, listen)

    def unexpose(self, forward: Forward) -> Forward:
        """Listen no more where `forward` does; its connections go on.

        Raises:
            NoSuchForwardError: nothing is forwarded there.
        """
        return self._table.unexpose(forward)

    def close(self) -> None:
        """End all forwards, their connections, and the line."""
        self._table.close()
        for connection in tuple(self._connections):
            connection.break_off()
        self._line.close()

    def _take(self, connection: socket.socket, to: Destination) -> None:
        def begin(trunk: Trunk | None) -> None:
            if trunk is None:
                reset(connection)
            else:
                Junction(self._loop, trunk, connection, self._connections).begin(to)

        self._line.want(begin)

    def _lost(self, error: SampanError) -> None:
        self._table.close()
        if self._over is not None:
            self._over(error)


def destination_of(forward: Forward) -> Destination:
    """Where a forward leads, for the machine's forwarder.

    Raises:
        UsageError: to a name; nobody would look it up.
    """
    try:
        address = ipaddress.ip_address(forward.guest or _LOOPBACK).packed
    except ValueError:
        raise UsageError(
            f"cannot forward {forward}: {forward.guest} is not an address",
            hint="a machine's forwarder takes addresses; none means the machine itself",
        ) from None
    return Destination(_PROTOCOLS[forward.protocol], address, forward.guest_port)
