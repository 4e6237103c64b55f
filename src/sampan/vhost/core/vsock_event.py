"""What happened to connections of a guest, for whoever moves their data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sampan.vhost.core.vsock_connection import Connection


@dataclass(frozen=True, slots=True)
class Offered:
    """The guest wants to connect to `connection.host_port`: `accept` or `abort`."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Opened:
    """The guest has taken what the host asked for."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Arrived:
    """The packet's data is for the host's program; `passed_on` once that has it.

    The guest may have room for more data, too.
    """

    connection: Connection


@dataclass(frozen=True, slots=True)
class Credited:
    """The guest may have room for more data."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class GuestFinished:
    """The guest sends no more: the host's program reads the end after what came before."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class GuestDeaf:
    """The guest takes no more: the host's program cannot write any longer."""

    connection: Connection


@dataclass(frozen=True, slots=True)
class Ended:
    """It is over. Pass on what came before, close, and say `drained`."""

    connection: Connection
    was_open: bool = True


Event: TypeAlias = Offered | Opened | Arrived | Credited | GuestFinished | GuestDeaf | Ended
