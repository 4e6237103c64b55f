"""QEMU's user networking as it reports itself (`info usernet`), read into values.

Pure. The report has one row per socket; the rows `TCP[HOST_FORWARD]` are published ports,
with the host port that a request for port 0 was given.
"""

from __future__ import annotations

import re

from sampan.machine.forward import Forward, Protocol

_ROW = re.compile(
    r"^\s*(TCP|UDP)\[HOST_FORWARD\]\s+-?\d+\s+(\S+)\s+(\d+)\s+(\S+)\s+(\d+)\s", re.MULTILINE
)


def listening(report: str) -> tuple[Forward, ...]:
    """The published ports in a report."""
    return tuple(
        Forward(
            host_port=int(host_port),
            guest_port=int(guest_port),
            bind="0.0.0.0" if bind == "*" else bind,
            protocol=Protocol(protocol.lower()),
        )
        for protocol, bind, host_port, _, guest_port in _ROW.findall(report)
    )


def resolve(wanted: tuple[Forward, ...], found: tuple[Forward, ...]) -> tuple[Forward, ...]:
    """Each wanted forward with the host port it really has.

    Raises:
        LookupError: one is not among those found; its text is the forward.
    """
    left = list(found)
    resolved: list[Forward] = []
    # fixed ports first, so that a request for any port does not take their row
    for forward in sorted(wanted, key=lambda each: each.host_port == 0):
        match = next((row for row in left if _satisfies(row, forward)), None)
        if match is None:
            raise LookupError(str(forward))
        left.remove(match)
        resolved.append(match)
    order = sorted(range(len(wanted)), key=lambda index: wanted[index].host_port == 0)
    return tuple(resolved[order.index(index)] for index in range(len(wanted)))


def _satisfies(row: Forward, wanted: Forward) -> bool:
    return (
        row.protocol is wanted.protocol
        and row.guest_port == wanted.guest_port
        and row.bind == wanted.bind
        and wanted.host_port in (0, row.host_port)
    )
