"""Connections of the control API that become something else: a way to a machine's port, or a link.

    to_machine    the machine is asked first. It accepts: the client is told `OK`, and both talk.
                  It refuses, or is not there: an answer of HTTP that says so, and the end
    as_link       frames both ways at once, each behind its length as a u16, little endian

Both as gvisor-tap-vsock's `/tunnel` and `/connect`, whose clients read two bytes, or nothing,
before they go on. (It says `OK` before it asks the machine, and hangs up if that refuses.)
"""

from __future__ import annotations

import socket
from contextlib import suppress
from http import HTTPStatus

from sampan.errors import ExitCode, UsageError
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.event import Reason
from sampan.net.core.flow import Flow
from sampan.net.link.stream import VMNET
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.attach.stream import stream_link
from sampan.net.runtime.control import fault, model
from sampan.net.runtime.control.exchange import Exchange
from sampan.net.runtime.control.fault import NotFoundError
from sampan.net.runtime.control.message import Takeover
from sampan.net.runtime.host.tcp import HostTcp

OPENED = b"OK"
LINK_NAME = "connect"


def to_machine(assembly: Assembly, asked: model.TunnelAsked) -> Takeover:
    """Lead a client to a port of a machine.

    Raises:
        UsageError: that is no port.
        NotFoundError: nobody of that address or name is on the network.
    """
    if not 0 < asked.port < 1 << 16:
        raise UsageError(f"{asked.port} is no port: 1 to 65535")
    address = assembly.directory.find(asked.ip) if asked.ip else None
    if address is None:
        raise NotFoundError(
            f"there is no machine {asked.ip[:100]!r} on this network",
            hint="sampan net leases lists those that asked for an address",
        )
    guest = Endpoint(address, asked.port)

    def take(connection: socket.socket, rest: bytes) -> None:
        flow = None if rest else assembly.open(guest)
        if flow is not None:
            Waiting(assembly, flow, connection)
        elif rest:
            _refuse(connection, HTTPStatus.BAD_REQUEST, "wait for OK before you speak")
        else:
            _refuse(connection, HTTPStatus.BAD_GATEWAY, f"{guest} cannot be connected to")

    return Takeover(take=take)


def as_link(assembly: Assembly) -> Takeover:
    """Make a client's connection a link of the network."""

    def take(connection: socket.socket, rest: bytes) -> None:
        link = stream_link(connection, VMNET, rest)
        assembly.plug(link, name=LINK_NAME)

    return Takeover(take=take)


class Waiting:
    """The channel of a flow to a machine, until that has answered. Owns the client's connection."""

    def __init__(self, assembly: Assembly, flow: Flow, connection: socket.socket) -> None:
        self._outbound = assembly.outbound
        self._flow = flow
        self._socket = connection
        flow.context = self

    def established(self, now: float) -> None:
        """See `Channel.established`: the flow's channel is another one from here on."""
        with suppress(OSError):  # it has hung up: its new owner will see
            self._socket.send(OPENED)
        engine, watch = self._outbound.engine, self._outbound.watch_flow
        channel = HostTcp(engine.loop, engine.stack, self._flow, self._socket, watch(self._flow))
        channel.begin(now)
        channel.established(now)

    def readable(self, now: float) -> None:
        """See `Channel.readable`; there is nothing before the handshake is over."""

    def writable(self, now: float) -> None:
        """See `Channel.writable`."""

    def finished(self, now: float) -> None:
        """See `Channel.finished`."""

    def gone(self, reason: Reason | None, now: float) -> None:
        """See `Channel.gone`: the machine does not want it, or never answered."""
        why = "refuses the connection" if reason is Reason.REFUSED else "does not answer"
        _refuse(self._socket, HTTPStatus.BAD_GATEWAY, f"{self._flow.guest} {why}")


def _refuse(connection: socket.socket, status: HTTPStatus, why: str) -> None:
    """Say so in HTTP, which the client had spoken, and hang up."""
    said = fault.of(status, model.Fault(code=ExitCode.FAILED, message=why))
    with suppress(OSError):
        connection.send(Exchange().respond(said))
    connection.close()
