"""Counters of a running machine: what its process uses, and what its disks have done.

QEMU counts blocks and names the threads of processors; the host's kernel counts the rest. QEMU
has no counters of its network devices: those of a TAP device are the host's, those of Sampan's
own network are with the network (`sampan net`). `machine.view.prometheus` writes them as text.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from sampan.errors import UnsupportedError
from sampan.machine import qmp
from sampan.machine.driver import Hypervisor
from sampan.machine.error import MachineEndedError, MachineError
from sampan.machine.model import MachineSpec, Network
from sampan.machine.view import usage

_DEVICES = Path("/sys/class/net")
_NS = 1e-9
T = TypeVar("T")


class CpuThread(msgspec.Struct, frozen=True, kw_only=True):
    """The time of the host that a thread took to run processors of the guest.

    QEMU may run several of the guest's processors in one thread.
    """

    cpus: tuple[int, ...]
    seconds: float


class DiskCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What the guest did to one disk, as completed requests; `…_s` is the time they took."""

    disk: str
    read_bytes: int
    written_bytes: int
    reads: int
    writes: int
    flushes: int
    read_s: float
    write_s: float
    flush_s: float
    errors: int


class InterfaceCounters(msgspec.Struct, frozen=True, kw_only=True):
    """What went through a network interface, seen from the guest."""

    interface: str
    received_bytes: int
    sent_bytes: int
    received_packets: int
    sent_packets: int


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of one machine. All are since its hypervisor started, `uptime_s` ago.

    `cpu_s` is the processor time of the hypervisor with all its threads, of which `cpu_threads`
    are those that run the guest; `rss_bytes` is the memory of the host it has now.
    """

    machine: str
    uptime_s: float
    cpus: int
    cpu_s: float
    memory_bytes: int
    rss_bytes: int
    cpu_threads: tuple[CpuThread, ...] = ()
    disks: tuple[DiskCounters, ...] = ()
    interfaces: tuple[InterfaceCounters, ...] = ()


class _Cpu(msgspec.Struct, frozen=True, rename="kebab"):
    cpu_index: int
    thread_id: int


class _BlockStats(msgspec.Struct, frozen=True):
    rd_bytes: int = 0
    wr_bytes: int = 0
    rd_operations: int = 0
    wr_operations: int = 0
    flush_operations: int = 0
    rd_total_time_ns: int = 0
    wr_total_time_ns: int = 0
    flush_total_time_ns: int = 0
    failed_rd_operations: int = 0
    failed_wr_operations: int = 0
    failed_flush_operations: int = 0


class _Block(msgspec.Struct, frozen=True, rename="kebab"):
    stats: _BlockStats
    device: str = ""
    node_name: str = ""


async def read(hypervisor: Hypervisor, spec: MachineSpec) -> Metrics:
    """The counters of a machine now; those its driver cannot tell are left out.

    Raises:
        MachineEndedError: it has ended.
    """
    process = await asyncio.to_thread(usage.of_process, hypervisor.pid)
    if process is None:
        raise MachineEndedError("cannot read the counters: the machine has ended")
    threads = cpu_threads(hypervisor.pid, await _asked(hypervisor, "query-cpus-fast"))
    return Metrics(
        machine=spec.name,
        uptime_s=process.age_s,
        cpus=spec.cpus,
        cpu_s=process.cpu_s,
        memory_bytes=spec.mem_mib << 20,
        rss_bytes=process.rss_bytes,
        cpu_threads=threads,
        disks=disks(await _asked(hypervisor, "query-blockstats")),
        interfaces=interfaces(spec),
    )


def cpu_threads(pid: int, answer: qmp.Json) -> tuple[CpuThread, ...]:
    """The times of the threads that `answer` (to query-cpus-fast) names, in process `pid`."""
    by_thread: dict[int, list[int]] = {}
    for cpu in _converted(answer, list[_Cpu], "query-cpus-fast"):
        by_thread.setdefault(cpu.thread_id, []).append(cpu.cpu_index)
    times = ((cpus, usage.of_thread(pid, thread)) for thread, cpus in by_thread.items())
    return tuple(
        CpuThread(cpus=tuple(sorted(cpus)), seconds=seconds)
        for cpus, seconds in times
        if seconds is not None
    )


def disks(answer: qmp.Json) -> tuple[DiskCounters, ...]:
    """What `answer` (to query-blockstats) says of each disk."""
    return tuple(
        DiskCounters(
            disk=block.device or block.node_name,
            read_bytes=block.stats.rd_bytes,
            written_bytes=block.stats.wr_bytes,
            reads=block.stats.rd_operations,
            writes=block.stats.wr_operations,
            flushes=block.stats.flush_operations,
            read_s=block.stats.rd_total_time_ns * _NS,
            write_s=block.stats.wr_total_time_ns * _NS,
            flush_s=block.stats.flush_total_time_ns * _NS,
            errors=block.stats.failed_rd_operations
            + block.stats.failed_wr_operations
            + block.stats.failed_flush_operations,
        )
        for block in _converted(answer, list[_Block], "query-blockstats")
    )


def interfaces(spec: MachineSpec, devices: Path = _DEVICES) -> tuple[InterfaceCounters, ...]:
    """The counters of the host's device, for a machine on a TAP device."""
    if spec.network is not Network.TAP:
        return ()
    folder = devices / spec.interface / "statistics"

    def count(name: str) -> int:
        return int((folder / name).read_text())

    with suppress(OSError, ValueError):  # no such device, or a system without these files
        return (
            InterfaceCounters(  # what the host sends through it, the guest receives
                interface=spec.interface,
                received_bytes=count("tx_bytes"),
                sent_bytes=count("rx_bytes"),
                received_packets=count("tx_packets"),
                sent_packets=count("rx_packets"),
            ),
        )
    return ()


async def _asked(hypervisor: Hypervisor, command: str) -> qmp.Json:
    try:
        return await hypervisor.execute(command)
    except UnsupportedError:
        return []


def _converted(answer: qmp.Json, kind: type[T], command: str) -> T:
    try:
        return msgspec.convert(answer, kind)
    except msgspec.ValidationError as error:
        raise MachineError(f"cannot understand the answer to {command}: {error}") from error
