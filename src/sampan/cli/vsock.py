"""The flag of `sampan run` that makes sockets for vsock ports of the guest."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.machine.model import MachineSpec


def option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the flag, as `vsock_ports`."""
    return click.option(
        "--vsock-ports", multiple=True, metavar="PORT[,PORT…]",
        help="Give the machine vsock, and a socket guest.PORT (8 hexadecimal digits) in its state "
        "folder for each of these ports of the guest; connect and v.sock lead to all.",
    )(command)  # fmt: skip


def plugged(
    spec: MachineSpec, ports: tuple[str, ...], folder: Path, *, is_wanted: bool = False
) -> MachineSpec:
    """The machine with the ports that the flag names, if it names any; `folder` gets the sockets.

    If vsock `is_wanted` for something else, the machine has it in any case.

    Raises:
        UsageError: there is no such port.
    """
    if not ports and (spec.vsock is not None or not is_wanted):
        return spec
    from msgspec.structs import replace

    from sampan.machine import vsock
    from sampan.machine.device import Vsock

    if not ports:
        return replace(spec, vsock=Vsock())
    numbers = [_number(each) for text in ports for each in text.split(",") if each.strip()]
    wanted = Vsock(ports=tuple(dict.fromkeys(numbers)), folder=folder.absolute())
    vsock.check(wanted)
    return replace(spec, vsock=wanted)


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(
            f"--vsock-ports: {text.strip()!r} is no port", hint="say numbers: 2374 or 0x946"
        ) from None
