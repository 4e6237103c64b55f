"""Places where machines connect that clients of the control API add to a running network."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sampan.errors import SampanError, UnsupportedError, UsageError
from sampan.net.runtime import entrance
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.control.fault import NotFoundError

MAX_ENTRANCES = 64


class Door:
    """Those of one network. Belongs to the loop's thread."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._ends: dict[str, Callable[[], None]] = {}

    @property
    def added(self) -> tuple[str, ...]:
        """Those that are there, as `entrance.Entrance` writes them."""
        return tuple(self._ends)

    def add(self, text: str) -> str:
        """Let machines connect there; what it is called.

        Raises:
            UsageError: it is no place, or its path depends on who reads it.
            UnsupportedError: it is this process's own stdin and stdout.
            SampanError: it cannot be made, or there are too many.
        """
        found = entrance.parse(text)
        if found.kind == entrance.STDIO:
            raise UnsupportedError(
                "stdio", "a network that runs", "its stdin and stdout are not the client's"
            )
        name = str(found)
        if name != text:
            raise UsageError(f"{text!r} is not absolute", hint=f"for instance {name}")
        if len(self._ends) >= MAX_ENTRANCES:
            raise SampanError(f"{MAX_ENTRANCES} places were added already")
        self._ends[name] = entrance.begin(self._assembly, found, partial(self._lost, name))
        return name

    def remove(self, name: str) -> None:
        """End it.

        Raises:
            NotFoundError: it was not added.
        """
        end = self._ends.pop(name, None)
        if end is None:
            raise NotFoundError(
                f"{name[:200]!r} was not added to this network",
                hint="what it was started with stays as long as it runs",
            )
        end()

    def _lost(self, name: str) -> None:
        """A link that is the whole of its place is gone."""
        self._ends.pop(name, None)

    def close(self) -> None:
        """End them all."""
        while self._ends:
            self._ends.popitem()[1]()
