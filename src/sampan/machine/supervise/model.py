"""What the methods of every machine take and give. Frozen values; the names are the interface."""

from __future__ import annotations

from typing import Any

import msgspec

from sampan.machine.model import End

VERSION = 1


class Nothing(msgspec.Struct, frozen=True):
    """No parameters, or no result."""


class Info(msgspec.Struct, frozen=True, kw_only=True):
    """`info`: what runs here, and which methods it has."""

    version: int = VERSION
    name: str
    state: str
    pid: int
    supervisor_pid: int
    accel: str
    methods: tuple[str, ...]


class StopAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`stop`: press the power button, and end the machine after `deadline_s`; waits for it."""

    deadline_s: float | None = None


class EventsAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`events`: those after number `after`, and with `follow` those to come."""

    after: int = 0
    follow: bool = False


class ConsoleAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`console`: the raw console from now on, and the last `replay_bytes` before.

    What is sent is typed, if `write`. The connection is closed when the machine has ended.
    """

    replay_bytes: int = 0
    write: bool = True


class ExecuteAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`execute`: one command of QMP."""

    command: str
    arguments: dict[str, Any] = {}


class Executed(msgspec.Struct, frozen=True):
    """What QMP answered."""

    value: Any


class Ended(msgspec.Struct, frozen=True):
    """`stop` and `kill`: how the machine ended."""

    end: End
