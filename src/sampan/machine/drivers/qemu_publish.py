"""Ports of QEMU's user network that come and go while it runs.

By its monitor for people (`hostfwd_add`, `hostfwd_remove`, `info usernet`), as QMP has no such
commands. That answers a refusal in words as it does everything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from sampan.machine import qmp, usernet
from sampan.machine.drivers import qemu_argv
from sampan.machine.error import MachineError
from sampan.machine.forward import Forward
from sampan.machine.port import PortError

Execute: TypeAlias = Callable[[str, Mapping[str, qmp.Json]], Awaitable[qmp.Json]]


async def listening(execute: Execute) -> tuple[Forward, ...]:
    """The ports that are published, with their real host ports."""
    return usernet.listening(await _said(execute, "info usernet"))


async def expose(execute: Execute, forward: Forward) -> Forward:
    """Publish one more; it listens when this returns. Gives it with its real host port.

    Raises:
        UnsupportedError: it is not on an IPv4 address.
        PortError: QEMU cannot listen there.
        MachineError: it says that it does, and does not.
    """
    rule = qemu_argv.rule(forward)
    before = Counter(await listening(execute))
    if refusal := await _said(execute, f"hostfwd_add {qemu_argv.NETDEV} {rule}"):
        raise PortError(
            f"host port {forward.host_port}/{forward.protocol} cannot be published: {refusal}",
            hint="publish on another one, or stop the program that has it",
        )
    added = Counter(await listening(execute)) - before
    try:
        [real] = usernet.resolve((forward,), tuple(added))
    except LookupError as error:
        raise MachineError(f"QEMU does not listen for the published port {error}") from error
    return real


async def unexpose(execute: Execute, forward: Forward) -> None:
    """Publish one no more; connections through it stay.

    Raises:
        PortError: QEMU has no such port.
    """
    place = f"{forward.protocol}:{forward.bind}:{forward.host_port}"
    said = await _said(execute, f"hostfwd_remove {qemu_argv.NETDEV} {place}")
    if not said.endswith(" removed"):
        raise PortError(f"{forward} is not published any more: {said}")


async def _said(execute: Execute, line: str) -> str:
    return str(await execute("human-monitor-command", {"command-line": line})).strip()
