"""The `resources` of a container: limits that the kernel's cgroups enforce.

The keys and units are those of LinuxResources in the OCI runtime specification; bytes and
microseconds unless a name says otherwise. -1 means unlimited where the kernel has it so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import UNSET

from sampan.spec.shape import Maybe, Part, Range

UINT16 = Range(0, 2**16 - 1)
UINT32 = Range(0, 2**32 - 1)
UINT64 = Range(0, 2**64 - 1)
DEVICE_NUMBER = Range(-1, 2**32 - 1)

DeviceType = Literal["a", "b", "c", "u", "p"]


class DeviceRule(Part, frozen=True):
    """Which devices may be used, and how."""

    allow: Annotated[bool, "whether the rule allows or denies"]
    type: Annotated[Maybe[DeviceType], "b block, c or u character, p pipe, a all"] = UNSET
    major: Annotated[Maybe[int], DEVICE_NUMBER, "the major number; all when not given"] = UNSET
    minor: Annotated[Maybe[int], DEVICE_NUMBER, "the minor number; all when not given"] = UNSET
    access: Annotated[Maybe[str], "of r (read), w (write) and m (mknod)"] = UNSET


class Memory(
    Part, frozen=True, rename={"kernel_tcp": "kernelTCP", "disable_oom_killer": "disableOOMKiller"}
):
    """Limits of memory in bytes."""

    limit: Annotated[Maybe[int], "most memory"] = UNSET
    reservation: Annotated[Maybe[int], "soft limit"] = UNSET
    swap: Annotated[Maybe[int], "most memory and swap together"] = UNSET
    kernel: Annotated[Maybe[int], "most memory of the kernel (cgroup v1)"] = UNSET
    kernel_tcp: Annotated[Maybe[int], "most TCP buffers (cgroup v1)"] = UNSET
    swappiness: Annotated[Maybe[int], UINT64, "0 to 100 (cgroup v1)"] = UNSET
    disable_oom_killer: Annotated[Maybe[bool], "let it wait instead (cgroup v1)"] = UNSET


class Cpu(Part, frozen=True):
    """Shares of the processors."""

    shares: Annotated[Maybe[int], UINT64, "weight against other groups"] = UNSET
    quota: Annotated[Maybe[int], "microseconds of run time in a period"] = UNSET
    period: Annotated[Maybe[int], UINT64, "length of a period in microseconds"] = UNSET
    realtime_runtime: Annotated[Maybe[int], "microseconds of realtime run time"] = UNSET
    realtime_period: Annotated[Maybe[int], UINT64, "length of a realtime period"] = UNSET
    cpus: Annotated[Maybe[str], "processors to run on, as '0-3,7'"] = UNSET
    mems: Annotated[Maybe[str], "memory nodes to use, as '0-1'"] = UNSET


class Pids(Part, frozen=True):
    """How many processes."""

    limit: Annotated[int, "most processes and threads"]


class WeightDevice(Part, frozen=True):
    """The weight of one block device."""

    major: Annotated[int, DEVICE_NUMBER, "the major number"]
    minor: Annotated[int, DEVICE_NUMBER, "the minor number"]
    weight: Annotated[Maybe[int], UINT16, "10 to 1000"] = UNSET
    leaf_weight: Annotated[Maybe[int], UINT16, "10 to 1000, for the group's own tasks"] = UNSET


class ThrottleDevice(Part, frozen=True):
    """The greatest rate of one block device."""

    major: Annotated[int, DEVICE_NUMBER, "the major number"]
    minor: Annotated[int, DEVICE_NUMBER, "the minor number"]
    rate: Annotated[int, UINT64, "bytes or operations in a second"]


class BlockIO(
    Part,
    frozen=True,
    rename={
        "leaf_weight": "leafWeight",
        "weight_device": "weightDevice",
        "throttle_read_bps_device": "throttleReadBpsDevice",
        "throttle_write_bps_device": "throttleWriteBpsDevice",
        "throttle_read_iops_device": "throttleReadIOPSDevice",
        "throttle_write_iops_device": "throttleWriteIOPSDevice",
    },
):
    """Limits of block devices."""

    weight: Annotated[Maybe[int], UINT16, "10 to 1000"] = UNSET
    leaf_weight: Annotated[Maybe[int], UINT16, "10 to 1000, for the group's own tasks"] = UNSET
    weight_device: Annotated[Maybe[tuple[WeightDevice, ...]], "weights of devices"] = UNSET
    throttle_read_bps_device: Annotated[
        Maybe[tuple[ThrottleDevice, ...]], "bytes read in a second"
    ] = UNSET
    throttle_write_bps_device: Annotated[
        Maybe[tuple[ThrottleDevice, ...]], "bytes written in a second"
    ] = UNSET
    throttle_read_iops_device: Annotated[Maybe[tuple[ThrottleDevice, ...]], "reads in a second"] = (
        UNSET
    )
    throttle_write_iops_device: Annotated[
        Maybe[tuple[ThrottleDevice, ...]], "writes in a second"
    ] = UNSET


class HugepageLimit(Part, frozen=True):
    """How much of one size of huge pages."""

    page_size: Annotated[str, "as '2MB'"]
    limit: Annotated[int, UINT64, "bytes"]


class InterfacePriority(Part, frozen=True):
    """The priority of traffic on one interface."""

    name: Annotated[str, "the interface"]
    priority: Annotated[int, UINT32, "its priority"]


class NetworkLimits(Part, frozen=True, rename={"class_id": "classID"}):
    """How traffic is marked (cgroup v1)."""

    class_id: Annotated[Maybe[int], UINT32, "class of all packets"] = UNSET
    priorities: Annotated[Maybe[tuple[InterfacePriority, ...]], "by interface"] = UNSET


class Resources(Part, frozen=True, rename={"hugepage_limits": "hugepageLimits"}):
    """What a container may use."""

    devices: Annotated[Maybe[tuple[DeviceRule, ...]], "which devices may be used"] = UNSET
    memory: Annotated[Maybe[Memory], "limits of memory"] = UNSET
    cpu: Annotated[Maybe[Cpu], "shares of the processors"] = UNSET
    pids: Annotated[Maybe[Pids], "how many processes"] = UNSET
    blockio: Annotated[Maybe[BlockIO], "limits of block devices"] = UNSET
    hugepage_limits: Annotated[Maybe[tuple[HugepageLimit, ...]], "huge pages"] = UNSET
    network: Annotated[Maybe[NetworkLimits], "how traffic is marked"] = UNSET
