"""What `sampan run` says about the machine while it runs: text, or one JSON object a line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.desktop import network, session


def reporter(settings: Settings, name: str) -> Callable[[session.Event], None]:
    """Says on stderr what happens: as text, or as one JSON object a line."""
    from sampan.cli import jsonout

    # a raw terminal does not return the carriage by itself; a cooked one does not mind
    newline = "\r\n" if sys.stderr.isatty() else "\n"

    def report(event: session.Event) -> None:
        with suppress(OSError):  # the terminal is gone: the machine need not go with it
            if settings.json:
                sys.stderr.write(jsonout.line(event))
            elif not settings.quiet:
                for line in _lines(event, name):
                    sys.stderr.write(f"sampan: {line}{newline}")
            sys.stderr.flush()

    return report


def _lines(event: session.Event, name: str) -> Iterator[str]:
    from sampan.desktop import session

    match event:
        case session.Started():
            slow = f" (nothing faster works: {event.why})" if event.why else ""
            yield f"{name} starts on {event.accel}{slow}"
            for forward in event.forwards:
                yield f"{_where(forward)} is port {forward.guest_port} of the guest"
            if event.network not in ("", name):
                yield f"its network is called {event.network}: sampan net … --name {event.network}"
            if event.escapes:
                yield event.escapes
        case session.Stopping():
            yield (
                f"power button pressed; the machine is ended in {event.deadline_s:g} s, "
                f"or at the next signal"
            )
        case session.Helped():
            yield event.escapes
        case session.Ended():
            pass  # the exit status and, if it was not clean, the error say it


def _where(forward: network.Published) -> str:
    bind = f"[{forward.bind}]" if ":" in forward.bind else forward.bind
    return forward.path or f"{bind}:{forward.host_port}/{forward.protocol}"
