"""`sampan net expose`, `unexpose` and `ls`: ports of the host that lead to machines."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout, render
from sampan.cli.net import place
from sampan.cli.settings import Settings
from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client
    from sampan.net.runtime.control.model import Place
    from sampan.net.services.forward import Forward

FORM = "[BIND:]PORT:[GUEST:]PORT[/udp]"
_PLACE = re.compile(r"(?:(?P<bind>[^\[\]/]+|\[[^\]]+\]):)?(?P<port>\d{1,5})(?:/(?P<protocol>\w+))?")


@click.command(
    "expose",
    epilog="\b\nExamples:\n"
    "  sampan net expose 8080:80\n"
    "  sampan net expose 0.0.0.0:5353:dns:53/udp 8000-8010:8000-8010\n"
    "  sampan net expose /run/user/1000/docker.sock:2375\n\n"
    "Everything listens when the command returns, or nothing does.\n",
)
@click.argument("forwards", nargs=-1, required=True, metavar=f"{FORM}...")
@place.options
@click.pass_obj
def expose(settings: Settings, forwards: tuple[str, ...], network: Client) -> None:
    """Forward ports of this host to machines."""
    _show(settings, network.expose(*parse(forwards)), quiet=settings.quiet)


@click.command(
    "unexpose",
    epilog="\b\nExamples:\n  sampan net unexpose 8080\n  sampan net unexpose 0.0.0.0:5353/udp\n",
)
@click.argument("places", nargs=-1, required=True, metavar="[BIND:]PORT[/udp]|PATH...")
@place.options
@click.pass_obj
def unexpose(settings: Settings, places: tuple[str, ...], network: Client) -> None:
    """End forwards, by where they listen."""
    del settings
    for each in list(map(parse_place, places)):
        network.unexpose(each)


@click.command("ls", epilog="\b\nExamples:\n  sampan net ls\n  sampan net ls --json\n")
@place.options
@click.pass_obj
def ls(settings: Settings, network: Client) -> None:
    """List the forwards."""
    _show(settings, network.forwards())


def parse(texts: tuple[str, ...]) -> tuple[Forward, ...]:
    """The forwards that words of a command line mean; paths become absolute.

    Raises:
        UsageError: one makes no sense.
    """
    import msgspec

    from sampan.net.services import forward

    found = [each for text in texts for each in forward.parse(text)]
    return tuple(
        msgspec.structs.replace(each, path=str(Path(each.path).absolute())) if each.path else each
        for each in found
    )


def parse_place(text: str) -> Place:
    """Where a forward listens: what stands left of the guest's part when it is made.

    Raises:
        UsageError: it is no port, nor a path; or one of UDP's with a path.
    """
    from sampan.net.runtime.control.model import Place
    from sampan.net.services.forward import DEFAULT_BIND, Protocol

    if text.startswith(("/", "./", "unix:")):
        return Place(path=str(Path(text.removeprefix("unix:")).absolute()))
    found = _PLACE.fullmatch(text)
    protocol = found["protocol"] or Protocol.TCP if found is not None else ""
    if found is None or protocol not in tuple(Protocol):
        raise UsageError(
            f"{text!r} is no place where a forward listens",
            hint="say [BIND:]PORT[/udp], or the path of a socket; sampan net ls lists them",
        )
    bind = (found["bind"] or DEFAULT_BIND).strip("[]")
    return Place(bind=bind, port=int(found["port"]), protocol=Protocol(protocol))


def _show(settings: Settings, forwards: tuple[Forward, ...], *, quiet: bool = False) -> None:
    if settings.json:
        for each in forwards:
            sys.stdout.write(jsonout.line(each))
        return
    if quiet:
        return
    rows = [
        (
            each.path or f"{_bracketed(each.bind)}:{each.port}",
            str(each.protocol),
            f"{_bracketed(each.guest) or 'the machine'} port {each.guest_port}",
        )
        for each in forwards
    ]
    click.echo(render.table(("LISTENS", "PROTOCOL", "LEADS TO"), rows), nl=False)


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
