"""`sampan net capture`: frames, as Wireshark reads them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.base import units
from sampan.cli import jsonout, render
from sampan.cli.net import place
from sampan.cli.settings import Settings
from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client
    from sampan.net.runtime.control.model import CaptureRecord
    from sampan.net.runtime.view.sink import Rotation

_EPILOG = """\b
Examples:
  sampan net capture -w web.pcapng --filter "tcp port 80"
  sampan net capture -w - | wireshark -k -i -
  sampan net capture -w slow.pcapng --seconds 30 --snap-length 128
  sampan net capture --background -w /var/tmp/web.pcapng -C 100M -W 5
  sampan net capture --stop 1

Frames are taken from all links of the network, with the names that addresses have. Until Ctrl-C,
or for --seconds. What is not taken fast enough is lost, and never slows the network down.

-C, -G and -W are those of tcpdump, but files are called web.pcapng, web-1.pcapng, web-2.pcapng, …
Each of them can be read alone, at any moment.
"""


class _Size(click.ParamType[int]):
    """How many bytes; a number alone counts MiB, as tcpdump's -C counts millions."""

    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        try:
            size = value if isinstance(value, int) else units.parse_size(str(value), unit="M")
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return size or self.fail("a file has at least a byte", param, ctx)


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
@click.option(
    "-C", "--file-size", type=_Size(), metavar="SIZE",
    help="Begin another file when one has so much; a number alone counts MiB.",
)  # fmt: skip
@click.option(
    "-G", "--file-seconds", type=click.FloatRange(min=0, min_open=True), metavar="N",
    help="Begin another file when one is so old.",
)  # fmt: skip
@click.option(
    "-W", "--files", type=click.IntRange(min=1), metavar="N",
    help="Keep the last N files, with -C or -G.  [default: all]",
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
    file_size: int | None,
    file_seconds: float | None,
    files: int | None,
    background: bool,
    stop: str | None,
    list_: bool,
    network: Client,
) -> None:
    """Write frames to a file, or to the standard output."""
    from sampan.net.runtime.control.model import CaptureAsked, CaptureStream
    from sampan.net.runtime.view.sink import Rotation

    rotation = Rotation(
        max_bytes=file_size or 0, max_seconds=file_seconds or 0.0, max_files=files or 0
    )
    if stop is not None:
        network.stop_capture(stop)
    elif list_:
        _list(settings, network)
    elif file is None:
        raise UsageError("there is no file to write to", hint="-w FILE, or -w - for a pipe")
    elif file == "-" and rotation != Rotation():
        raise UsageError("-C, -G and -W are about files, and -w - is none")
    elif background:
        if file == "-" or seconds is not None:
            raise UsageError("a capture in the background goes to a file, until it is stopped")
        asked = CaptureAsked(
            path=str(Path(file).absolute()), filter=filter_, snap_length=snap_length,
            max_bytes=rotation.max_bytes, max_seconds=rotation.max_seconds,
            max_files=rotation.max_files,
        )  # fmt: skip
        _say_started(settings, network.start_capture(asked))
    else:
        stream = CaptureStream(filter=filter_, snap_length=snap_length)
        pieces = network.capture(stream, seconds=seconds)
        if file == "-":
            _print(pieces)
        else:
            rotation.check()
            _copy(pieces, Path(file), rotation)


def _print(pieces: Iterator[bytes]) -> None:
    for piece in pieces:
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()


def _copy(pieces: Iterator[bytes], file: Path, rotation: Rotation) -> None:
    """Write what comes until it ends; Ctrl-C is the usual end of a file."""
    from sampan.net.runtime.view.copied import Copied
    from sampan.net.runtime.view.sink import FileSink

    first = next(pieces, b"")  # an error comes before the file is made
    with closing(FileSink(file, rotation, waits=True)) as sink, suppress(KeyboardInterrupt):
        copy = Copied(sink)
        copy.received(first)
        for piece in pieces:
            copy.received(piece)


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
