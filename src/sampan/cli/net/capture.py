"""`sampan net capture`: frames, as Wireshark reads them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout, render
from sampan.cli.net import place
from sampan.cli.settings import Settings
from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client
    from sampan.net.runtime.control.model import CaptureRecord

_EPILOG = """\b
Examples:
  sampan net capture -w web.pcapng --filter "tcp port 80"
  sampan net capture -w - | wireshark -k -i -
  sampan net capture -w slow.pcapng --seconds 30 --snap-length 128
  sampan net capture --background -w /var/tmp/web.pcapng
  sampan net capture --stop 1

Frames are taken from all links of the network, with the names that addresses have. Until Ctrl-C,
or for --seconds. What is not taken fast enough is lost, and never slows the network down.
"""


@click.command("capture", epilog=_EPILOG)
@click.option("-w", "--write", "file", metavar="FILE|-", help="Where to write it.")
@click.option(
    "--filter", "filter_", default="", metavar="EXPRESSION",
    help="Which frames: host, net, port, portrange, tcp, udp, icmp, arp, and, or, not.",
)  # fmt: skip
@click.option(
    "--snap-length", type=click.IntRange(min=0), default=0, metavar="BYTES",
    help="Keep only the beginning of each frame.  [default: all of it]",
)  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), metavar="N", help="End after so long.",
)  # fmt: skip
@click.option("--background", is_flag=True, help="Let the network write it, and return.")
@click.option("--stop", metavar="ID", help="End a capture in the background.")
@click.option("--ls", "list_", is_flag=True, help="List the captures in the background.")
@place.options
@click.pass_obj
def command(
    settings: Settings,
    file: str | None,
    filter_: str,
    snap_length: int,
    seconds: float | None,
    background: bool,
    stop: str | None,
    list_: bool,
    network: Client,
) -> None:
    """Write frames to a file, or to the standard output."""
    from sampan.net.runtime.control.model import CaptureAsked, CaptureStream

    if stop is not None:
        network.stop_capture(stop)
    elif list_:
        _list(settings, network)
    elif file is None:
        raise UsageError("there is no file to write to", hint="-w FILE, or -w - for a pipe")
    elif background:
        if file == "-" or seconds is not None:
            raise UsageError("a capture in the background goes to a file, until it is stopped")
        asked = CaptureAsked(
            path=str(Path(file).absolute()), filter=filter_, snap_length=snap_length
        )
        _say_started(settings, network.start_capture(asked))
    else:
        stream = CaptureStream(filter=filter_, snap_length=snap_length)
        pieces = network.capture(stream, seconds=seconds)
        _copy(pieces, file)


def _copy(pieces: Iterator[bytes], file: str) -> None:
    """Write what comes until it ends; Ctrl-C is the usual end of a file."""
    if file == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
        return
    first = next(pieces, b"")  # an error comes before the file is made
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as output, suppress(KeyboardInterrupt):
        output.write(first)
        for piece in pieces:
            output.write(piece)


def _list(settings: Settings, network: Client) -> None:
    found = network.captures()
    if settings.json:
        sys.stdout.writelines(map(jsonout.line, found))
        return
    rows = [(each.id, each.path, each.filter or "-") for each in found]
    click.echo(render.table(("ID", "FILE", "FILTER"), rows), nl=False)


def _say_started(settings: Settings, capture: CaptureRecord) -> None:
    if settings.json:
        sys.stdout.write(jsonout.line(capture))
    elif not settings.quiet:
        click.echo(f"capture {capture.id} goes to {capture.path}")
