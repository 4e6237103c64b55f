"""`sampan net listen`: where machines connect to a network, and what to type there."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from sampan.cli import jsonout
from sampan.cli.net import place
from sampan.cli.settings import Settings

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client
    from sampan.net.runtime.entrance import Entrance

_EPILOG = """\b
Examples:
  sampan net listen qemu:/tmp/second.sock
  sampan net listen --end qemu:/tmp/second.sock

The kinds are those of `sampan net serve --listen`, but stdio. Machines that connected to a socket stay
when that ends; with dgram, vfkit and tap, their link ends.
"""

_CARD = "-device virtio-net-pci,netdev=net0"
_WITHOUT_KVM = ",vectors=0"  # QEMU 7.2 crashes without it, unless it runs with KVM


@click.command("listen", epilog=_EPILOG)
@click.argument("texts", metavar="KIND:PATH...", nargs=-1, required=True)
@click.option("--end", is_flag=True, help="Listen there no more.")
@place.options
@click.pass_obj
def command(settings: Settings, texts: tuple[str, ...], end: bool, network: Client) -> None:
    """Let machines connect at more places of a network that runs."""
    from sampan.net.runtime import entrance

    for each in map(entrance.parse, texts):
        if end:
            network.remove_link(str(each))
            continue
        found = network.add_link(str(each))
        if settings.json:
            sys.stdout.write(jsonout.line({"listen": found, "example": example(each)}))
        elif not settings.quiet:
            click.echo(f"machines connect at {found}\n    {example(each)}")


def example(entrance: Entrance) -> str:
    """How a machine connects there: arguments of QEMU or another program, as for a shell."""
    return EXAMPLES[entrance.kind](entrance.path)


def _for_qemu_stream(path: str) -> str:
    where = shlex.quote(f"stream,id=net0,server=off,addr.type=unix,addr.path={_escaped(path)}")
    return f"qemu-system-x86_64 … -netdev {where} {_CARD}"


def _for_qemu_dgram(path: str) -> str:
    own = _escaped(f"{path}.vm")
    where = shlex.quote(
        f"dgram,id=net0,local.type=unix,local.path={own},"
        f"remote.type=unix,remote.path={_escaped(path)}"
    )
    return f"qemu-system-x86_64 … -netdev {where} {_CARD}"


def _for_qemu_vhost(path: str) -> str:
    return (
        "qemu-system-x86_64 … -m 1G -object memory-backend-memfd,id=mem0,size=1G,share=on "
        f"-machine memory-backend=mem0 -chardev {shlex.quote(f'socket,id=char0,path={_escaped(path)}')} "
        f"-netdev vhost-user,id=net0,chardev=char0 {_CARD}{_WITHOUT_KVM}"
    )


def _escaped(path: str) -> str:
    return path.replace(",", ",,")  # QEMU's way


EXAMPLES: dict[str, Callable[[str], str]] = {
    "qemu": _for_qemu_stream,
    "dgram": _for_qemu_dgram,
    "vhost-user": _for_qemu_vhost,
    "vfkit": lambda path: f"vfkit … --device {shlex.quote(f'virtio-net,unixSocketPath={path}')}",
    "hyperkit": lambda path: f"hyperkit … -s {shlex.quote(f'2:0,virtio-vpnkit,path={path}')}",
    "tap": lambda name: f"ip link set {name} up && dhclient {name}",
    "stdio": lambda _: "whoever started this speaks frames on its stdin and stdout",
}
