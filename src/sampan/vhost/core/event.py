"""What a front-end brought about, for the runtime to act on; see `session` for when.

An event that has descriptors hands them over: whoever acts on it closes them in the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sampan.vhost.core.memory import Region


@dataclass(frozen=True, slots=True)
class MemoryOffered:
    """Map these, call `memory_mapped`, and close the descriptors."""

    regions: tuple[Region, ...]
    fds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class LogOffered:
    """Map this, call `log_mapped`, and close the descriptor."""

    size: int
    offset: int
    fd: int


@dataclass(frozen=True, slots=True)
class KickSet:
    """The driver will tell of new buffers through this descriptor (None: in no way)."""

    index: int
    fd: int | None


@dataclass(frozen=True, slots=True)
class CallSet:
    """Notify the driver through this descriptor (None: not at all)."""

    index: int
    fd: int | None


@dataclass(frozen=True, slots=True)
class DescriptorDropped:
    """A descriptor nothing is done with: close it."""

    fd: int


@dataclass(frozen=True, slots=True)
class RingStarted:
    """The ring runs; look at it, even without a kick."""

    index: int


@dataclass(frozen=True, slots=True)
class RingEnabled:
    """The ring may do something, or (not `enabled`) no longer."""

    index: int
    enabled: bool


@dataclass(frozen=True, slots=True)
class RingsInterrupted:
    """Memory changes under running rings: put back what was taken in advance, keep no view."""


@dataclass(frozen=True, slots=True)
class RingStopped:
    """The ring has ended. It must not be touched any more."""

    index: int


@dataclass(frozen=True, slots=True)
class MtuSet:
    """The front-end names the MTU that the driver was told."""

    mtu: int


@dataclass(frozen=True, slots=True)
class MachineMoved:
    """The machine with this MAC goes on here; tell those who may know it elsewhere."""

    mac: bytes


Event: TypeAlias = (
    MemoryOffered
    | LogOffered
    | KickSet
    | CallSet
    | DescriptorDropped
    | RingStarted
    | RingEnabled
    | RingsInterrupted
    | RingStopped
    | MtuSet
    | MachineMoved
)
