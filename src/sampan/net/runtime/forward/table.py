"""Forwards: added, removed and listed while they run, and those of a network.

A forward listens when `expose` returns. Which machine it leads to is looked up for every
connection, so a machine may come later, go, or get another address.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol

import msgspec

from sampan.errors import SampanError
from sampan.net.core.endpoint import Endpoint
from sampan.net.core.flow import Flow
from sampan.net.runtime.forward import binding
from sampan.net.runtime.forward.datagram import DatagramForward
from sampan.net.runtime.forward.listener import Listener, Sources
from sampan.net.runtime.outbound import HostOutbound
from sampan.net.services import forward as services
from sampan.net.services.forward import Forward

MAX_FORWARDS = 4096


class NoSuchForwardError(SampanError):
    """There is no forward like that."""


class Listening(Protocol):
    """What a forward is while it is there."""

    def close(self) -> None:
        """Listen no more."""


class Table:
    """Which forwards there are, whatever way their connections go."""

    def __init__(self) -> None:
        self._table: dict[Forward, Listening] = {}

    @property
    def forwards(self) -> tuple[Forward, ...]:
        """Those that listen, in the order they were added."""
        return tuple(self._table)

    def expose(self, forward: Forward, listen: Callable[[socket.socket], Listening]) -> Forward:
        """Bind, and have `listen` begin; the forward as it is, with the port that 0 became.

        Raises:
            PortTakenError: another program or forward listens there; the message names it.
            BindError: the system does not allow it.
        """
        if len(self._table) >= MAX_FORWARDS:
            raise binding.BindError(f"there are {MAX_FORWARDS} forwards already")
        for other in self._table:
            if other.place == forward.place and (forward.port or forward.path):
                raise binding.PortTakenError(
                    f"{_shown(forward)} is forwarded already, to {other.guest or 'the machine'} "
                    f"port {other.guest_port}",
                    owner=None, hint=f"remove that forward first: {other}",
                )  # fmt: skip
        bound = binding.bind(forward)
        if not forward.path:
            forward = msgspec.structs.replace(forward, port=bound.getsockname()[1])
        self._table[forward] = listen(bound)
        return forward

    def unexpose(self, forward: Forward) -> Forward:
        """Listen no more where `forward` does, wherever it leads; the forward that was there.

        Raises:
            NoSuchForwardError: nothing is forwarded there.
        """
        for other, listener in self._table.items():
            if other.place == forward.place:
                del self._table[other]
                listener.close()
                return other
        raise NoSuchForwardError(
            f"{_shown(forward)} is not forwarded", hint="sampan net ls lists the forwards"
        )

    def close(self) -> None:
        """End all of them."""
        while self._table:
            self._table.popitem()[1].close()


class Forwards:
    """The forwards of a network.

    `find` gives the address of a machine by name or address; "" is the only one.
    """

    def __init__(self, outbound: HostOutbound, find: Callable[[str], bytes | None]) -> None:
        self._outbound = outbound
        self._find = find
        self._sources = Sources(outbound.engine)
        self._table = Table()

    @property
    def forwards(self) -> tuple[Forward, ...]:
        """See `Table.forwards`."""
        return self._table.forwards

    def expose(self, forward: Forward) -> Forward:
        """Begin to listen; see `Table.expose`."""

        def guest() -> Endpoint | None:
            address = self._find(forward.guest)
            return None if address is None else Endpoint(address, forward.guest_port)

        def open_flow() -> Flow | None:
            to = guest()
            return None if to is None else self._sources.open(to)

        def listen(bound: socket.socket) -> Listening:
            if forward.protocol is services.Protocol.UDP:
                return DatagramForward(self._outbound, self._sources, bound, guest)
            return Listener(self._outbound, bound, open_flow)

        return self._table.expose(forward, listen)

    def open(self, guest: Endpoint) -> Flow | None:
        """A connection to a machine, as those that are forwarded; None: there can be none."""
        return self._sources.open(guest)

    def unexpose(self, forward: Forward) -> Forward:
        """See `Table.unexpose`."""
        return self._table.unexpose(forward)

    def close(self) -> None:
        """See `Table.close`."""
        self._table.close()


def _shown(forward: Forward) -> str:
    return forward.path or f"port {forward.port}/{forward.protocol} of {forward.bind}"
