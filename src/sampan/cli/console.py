"""`sampan console`."""

from __future__ import annotations

import os
import select
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from sampan.cli import kill, target
from sampan.errors import ExitCode

if TYPE_CHECKING:
    from sampan.machine.registry.record import Record
    from sampan.machine.registry.store import Store
    from sampan.machine.supervise.blocking import Client

_EPILOG = """\b
Examples:
  sampan console web
  sampan console --read-only web

On a terminal every key goes to the guest. Ctrl-A d leaves the console, and the machine running;
Ctrl-A x ends the machine, Ctrl-A p presses its power button, Ctrl-A h shows this, Ctrl-A Ctrl-A
sends a Ctrl-A. Elsewhere the output is plain text, and nothing is read. Any number of consoles may
be open; what is typed in them goes to the one machine.
"""
_KEYS = "Ctrl-A d leaves, Ctrl-A x ends the machine, Ctrl-A p presses its power button"
_READ = 64 << 10
_INPUT, _OUTPUT = 0, 1


@click.command("console", epilog=_EPILOG + target.STATUS)
@click.option("--read-only", is_flag=True, help="Only look on.")
@click.option(
    "--replay", default=2048, show_default=True, type=click.IntRange(min=0), metavar="BYTES",
    help="How much of what was said before is shown.",
)  # fmt: skip
@target.name
def command(read_only: bool, replay: int, name: str) -> ExitCode:
    """Be on the console of a machine that runs, until it ends or you leave."""
    machines = target.store()
    record = target.healed(machines, name)
    client = target.reached(record)
    is_terminal = os.isatty(_OUTPUT) and os.isatty(_INPUT)
    with client.console(replay_bytes=replay, write=not read_only) as connection:
        if not is_terminal:
            return _print_plainly(connection)
        viewer = _Viewer(machines, record, client, connection, types=not read_only)
        return viewer.run()


def _print_plainly(connection: socket.socket) -> ExitCode:
    from sampan.machine.console import PlainText

    plain = PlainText() if not os.isatty(_OUTPUT) else None
    while data := connection.recv(_READ):
        _write(data if plain is None else plain.feed(data))
    return ExitCode.DONE


class _Viewer:
    """A terminal on the console of a machine."""

    def __init__(
        self,
        machines: Store,
        record: Record,
        client: Client,
        connection: socket.socket,
        *,
        types: bool,
    ) -> None:
        from sampan.machine.terminal import Keyboard

        self._machines = machines
        self._record = record
        self._client = client
        self._connection = connection
        self._types = types
        self._keyboard = Keyboard()
        self._left = False

    def run(self) -> ExitCode:
        from sampan.machine import terminal

        with terminal.raw_mode(_INPUT) as make_raw, _after_continuing(make_raw):
            self._say(f"the console of {self._record.name}; {_KEYS}")
            while not self._left:
                ready, _, _ = select.select([_INPUT, self._connection.fileno()], [], [])
                if _INPUT in ready:
                    self._typed(os.read(_INPUT, _READ))
                if self._connection.fileno() in ready and not self._show():
                    break
        click.echo()
        return ExitCode.DONE

    def _show(self) -> bool:
        """Show what the machine said; whether it goes on."""
        try:
            data = self._connection.recv(_READ)
        except ConnectionError:
            data = b""
        if not data:
            self._say(f"{self._record.name} has ended")
            return False
        _write(data)
        return True

    def _typed(self, data: bytes) -> None:
        from sampan.machine.terminal import Escape

        passed, escapes = self._keyboard.feed(data)
        self._left = not data or Escape.DETACH in escapes  # no data: the terminal is gone
        if passed and self._types:
            self._connection.sendall(passed)
        for escape in escapes:
            if escape is Escape.LEAVE:
                kill.ended(self._machines, self._record)
            elif escape is Escape.POWER_BUTTON:
                self._client.press_power_button()
            elif escape is Escape.HELP:
                self._say(_KEYS)

    @staticmethod
    def _say(text: str) -> None:
        _write(f"\r\nsampan: {text}\r\n".encode())


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(_OUTPUT, view) :]


@contextmanager
def _after_continuing(make_raw: Callable[[], None]) -> Iterator[None]:
    """After a stop and SIGCONT the shell has made the terminal its own: take it back."""
    before = signal.signal(signal.SIGCONT, lambda *_: make_raw())
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, before)
