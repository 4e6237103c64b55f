"""How a clone is connected: as its original was, with ports and an address of its own.

And which machines are clones of another, because their disks hold only what differs from its.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from sampan.desktop.network import Networking, Options
from sampan.errors import UnsupportedError, UsageError
from sampan.machine.device import Disk, DiskFormat
from sampan.machine.forward import Forward as MachineForward
from sampan.machine.registry.record import Record
from sampan.machine.saving.suspension import Suspension
from sampan.machine.storage import disk
from sampan.net.services import forward
from sampan.net.services.forward import Forward

_OWN = (Networking.VPNKIT, Networking.USER, Networking.NONE)


def connected(saved: Suspension, wired: Options, publish: Sequence[str] = ()) -> Options:
    """The connection of a clone of the machine `saved`, which was connected as `wired`.

    It publishes `publish`, or if that is empty the ports of the guest that its original did, at
    free ports of the host. On a network of its own it keeps the address. What was opened while the
    original ran is its original's.

    Raises:
        UsageError: a port makes no sense.
        UnsupportedError: it would have its original's MAC address, on a network with others.
    """
    is_alone = wired.networking in _OWN and wired.join is None
    if not is_alone and not saved.has_agent:
        raise UnsupportedError(
            "clones on a network with other machines", saved.spec.name,
            "no agent answered in it when it was saved, and only that can change the MAC address",
            instead="add the service sampan/agent to the system, or give it a network of its own",
        )  # fmt: skip
    return replace(
        wired,
        publish=tuple(publish) or tuple(_free(wired)),
        address=wired.address if is_alone else "",
        added=(),
        asked=(),
    )


def check_several(publish: Sequence[str]) -> None:
    """Refuse ports that only one machine can have.

    Raises:
        UsageError: one is not free to choose, or makes no sense.
    """
    for text in publish:
        for each in forward.parse(text):
            if each.path or each.port:
                raise UsageError(
                    f"several clones cannot publish {text!r} all at once",
                    hint=f"0:{each.guest_port} takes a free port for each; or name one clone",
                )


def clones_of(folder: Path, records: Iterable[Record]) -> tuple[str, ...]:
    """The names of machines whose disks hold only what differs from files below `folder`."""
    whole = folder.resolve()
    return tuple(
        each.name
        for each in records
        if each.made is not None and any(_stands_on(disk, whole) for disk in each.made.spec.disks)
    )


def _stands_on(own: Disk, folder: Path) -> bool:
    found = None
    if own.format is DiskFormat.QCOW2:
        with suppress(OSError):  # it is gone
            found = disk.backing(own.path)
    return found is not None and found.resolve().is_relative_to(folder)


def _free(wired: Options) -> list[str]:
    """What `wired` publishes, at free ports; Unix sockets become ports, too."""
    if wired.networking is Networking.USER:
        return [str(replace(MachineForward.parse(each), host_port=0)) for each in wired.publish]
    found = (each for text in wired.publish for each in forward.parse(text))
    return [str(_freed(each)) for each in found]


def _freed(wanted: Forward) -> Forward:
    return replace(wanted, port=0, path="", guest="")
