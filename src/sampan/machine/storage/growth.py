"""Make a disk of a running machine larger; the guest hears of it at once.

The guest's filesystem does not grow by itself: that is for a program in the guest (resize2fs).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias, cast

import msgspec

from sampan.base.units import format_size
from sampan.errors import UsageError
from sampan.machine import qmp
from sampan.machine.drivers import qemu_disk
from sampan.machine.storage.disk import SECTOR_BYTES, DiskError

Execute: TypeAlias = Callable[[str, Mapping[str, qmp.Json] | None], Awaitable[qmp.Json]]


class _Image(msgspec.Struct, frozen=True, rename="kebab"):
    virtual_size: int


class _Node(msgspec.Struct, frozen=True, rename="kebab"):
    """QEMU's BlockDeviceInfo, of which we read two members."""

    image: _Image
    node_name: str = ""


async def grow(execute: Execute, index: int, size_bytes: int) -> None:
    """Make disk `index` of a machine `size_bytes` large; nothing happens if it is that already.

    Raises:
        UsageError: the size is no whole number of sectors.
        DiskError: there is no such disk, or it is larger.
        CommandError: QEMU refused, for instance because the disk is read-only.
    """
    if size_bytes % SECTOR_BYTES:
        raise UsageError(f"a disk cannot have {size_bytes} bytes: say a multiple of {SECTOR_BYTES}")
    name = qemu_disk.node(index)
    answer = await execute("query-named-block-nodes", {"flat": True})
    nodes = msgspec.convert(cast("object", answer), list[_Node])
    sizes = {each.node_name: each.image.virtual_size for each in nodes}
    if name not in sizes:
        raise DiskError(f"the machine has no disk {index} (the first one is 0)")
    if size_bytes < sizes[name]:
        raise DiskError(
            f"disk {index} has {format_size(sizes[name])} and cannot shrink to "
            f"{format_size(size_bytes)}",
            hint="say a larger size",
        )
    if size_bytes > sizes[name]:
        await execute("block_resize", {"node-name": name, "size": size_bytes})
