"""Whether an initrd fits the memory of a machine, told before booting it.

The kernel unpacks an initrd into a tmpfs whose limit is half of the memory it then has: all
of it, less what the kernel keeps for itself, less the initrd as loaded. Past that limit it
drops files silently, and what the user sees is `No working init found`.

Measured with Debian's 6.12 cloud kernel on `pc`, 80 MiB to 4 GiB, compressed and plain
initrds from 2 to 102 MiB: the kernel keeps 49 MiB and 1.72 % of the memory (an entry per
page); below 80 MiB nothing boots, whatever the initrd. With these numbers the least memory
that boots is predicted within 1 %.
"""

from __future__ import annotations

import math

from sampan.base import log
from sampan.machine import initrd
from sampan.machine.error import MachineError
from sampan.machine.model import MachineSpec

_log = log.get(__name__)

_MIB = 1 << 20
_KERNEL_MIB = 49
_PER_PAGE_SHARE = 0.0172
_LEAST_MIB = 80
_ROUND_MIB = 16
_AMPLE_RATIO = 12  # no real system compresses better


class MemoryTooSmallError(MachineError):
    """The machine's memory cannot hold its initrd; `needed_mib` would do."""

    def __init__(self, spec: MachineSpec, needed_mib: int) -> None:
        super().__init__(
            f"{spec.mem_mib} MiB of memory is too little: "
            f"the kernel could not unpack {spec.initrd}",
            hint=f"{needed_mib} MiB would do (--mem {needed_mib})",
        )
        self.needed_mib = needed_mib


def needed_mib(file_bytes: int, unpacked: initrd.Unpacked) -> int:
    """The least memory with which a kernel can unpack an initrd of `file_bytes`."""
    unpacked_mib = max(unpacked.pages, unpacked.inodes) * initrd.PAGE / _MIB
    exact = (2 * unpacked_mib + file_bytes / _MIB + _KERNEL_MIB) / (1 - _PER_PAGE_SHARE)
    return max(_LEAST_MIB, math.ceil(exact))


def check(spec: MachineSpec) -> None:
    """Refuse a machine that is known to be too small for its initrd.

    With memory to spare the initrd is not read; one that cannot be understood is let pass.

    Raises:
        MemoryTooSmallError: it is too small; the hint says how much would do.
    """
    if spec.initrd is None:
        return
    file_bytes = spec.initrd.stat().st_size
    at_most = initrd.Unpacked(file_bytes * _AMPLE_RATIO // initrd.PAGE, 0)
    if needed_mib(file_bytes, at_most) <= spec.mem_mib:
        return
    try:
        needed = needed_mib(file_bytes, initrd.measure(spec.initrd))
    except initrd.NotUnderstoodError as error:
        _log.warning("cannot tell whether %s fits the memory: %s", spec.initrd, error)
        return
    if needed > spec.mem_mib:
        raise MemoryTooSmallError(spec, -(-needed // _ROUND_MIB) * _ROUND_MIB)
