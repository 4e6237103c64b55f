"""What the control API says and is told. The fields are the interface: they may be added to.

Addresses are text, sizes are bytes, times are seconds. Unknown fields of a request are refused,
so that a misspelt one is not silently passed over; a client must bear unknown ones in answers.

Forwards, flows and leases are said as the network itself does: `services.forward.Forward`,
`view.flowtable.FlowRecord`, `service.dhcp.LeaseRecord`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.net.services.forward import DEFAULT_BIND, Protocol


class NetworkRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One running network. `listens` are the links' specs, as given to `--listen`."""

    name: str
    version: str
    pid: int
    subnet: str
    gateway: str
    host: str
    prefix6: str
    mtu: int
    host_access: str
    listens: tuple[str, ...] = ()


class LeaseEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The data of `lease.given` and `lease.ended` events."""

    mac: str
    address: str
    name: str = ""


class LinkRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A plugged-in link. `macs` are the stations known there.

    `frames` counts what came from it, `dropped` what did not reach it or made no sense. `sent`
    and `received` are the payload bytes of its machines' flows.
    """

    id: int
    name: str
    mtu: int
    macs: tuple[str, ...] = ()
    frames: int = 0
    dropped: int = 0
    flows: int = 0
    sent: int = 0
    received: int = 0


class Stats(msgspec.Struct, frozen=True, kw_only=True):
    """Counters since the network began, and how much there is now."""

    uptime_s: float
    counters: dict[str, int]
    gauges: dict[str, int]


class NameRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A name that the network's DNS answers, and its addresses."""

    name: str
    addresses: tuple[str, ...]


class NameAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which name."""

    name: str


class Reservation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address, and a name, that one MAC will have. Without an address: any that is free."""

    mac: str
    address: str = ""
    name: str = ""


class ReservationAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose reservation."""

    mac: str


class Place(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a forward listens: a port of an address, or a Unix socket's path."""

    bind: str = DEFAULT_BIND
    port: int = 0
    path: str = ""
    protocol: Protocol = Protocol.TCP


class CaptureAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A capture to a file: an absolute path. `snap_length` 0 keeps frames whole.

    With `max_bytes` or `max_seconds` another file follows when one has so much, or is so old:
    NAME-1, NAME-2, …; `max_files` keeps the last ones only. 0 for no limit.
    """

    path: str
    filter: str = ""
    snap_length: int = 0
    max_bytes: int = 0
    max_seconds: float = 0.0
    max_files: int = 0


class CaptureStream(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A capture to be sent as the response."""

    filter: str = ""
    snap_length: int = 0


class CaptureRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A running capture."""

    id: str
    path: str
    filter: str = ""


class CaptureNamed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which capture."""

    id: str


class LinkAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where machines may connect: KIND:PATH, as `sampan net serve --listen` has it; absolute."""

    listen: str


class TunnelAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A port of a machine, by its address or name."""

    ip: str
    port: int


class EventsAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Events after number `after`; with `follow` the response goes on as they happen.

    `kind` narrows them to kinds that begin with it.
    """

    after: int = 0
    follow: bool = False
    kind: str = ""


class EventRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happened. `time_s` counts from 1970; `data` depends on `kind`."""

    number: int
    time_s: float
    kind: str
    data: dict[str, Any] = {}


class RuleDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A rule of a policy; it has either `allow` or `deny`, a list of names and networks."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    port: tuple[str, ...] = ()
    protocol: str | None = None
    name: str = ""


class PolicyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What machines may reach: the first rule that matches decides, else the default."""

    default: str = "allow"
    rules: tuple[RuleDocument, ...] = ()


class Fault(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a call failed. `code` is the exit status of `sampan`; `problems` those of a document."""

    code: int
    message: str
    hint: str | None = None
    owner: str | None = None
    problems: tuple[FaultProblem, ...] = ()


class FaultProblem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault of a document: where in it, what, and what to do."""

    path: str
    message: str
    hint: str | None = None


class Failed(msgspec.Struct, frozen=True):
    """The body of every response that is not a success."""

    error: Fault
