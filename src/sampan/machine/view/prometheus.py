"""Counters of machines in Prometheus' text format 0.0.4 (prometheus.io, "Exposition formats").

Pure. Names follow Prometheus' conventions: base units, `_total` on counters. Of each family
all machines stand together, as the format wants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from sampan.machine.view.metrics import DiskCounters, InterfaceCounters, Metrics

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Sample(NamedTuple):
    """One line: labels besides the machine's name, and the value."""

    labels: tuple[tuple[str, str], ...]
    value: float


class Family(NamedTuple):
    """One metric: its name, kind, meaning, and how its samples come out of `Metrics`."""

    name: str
    kind: str
    help: str
    samples: Callable[[Metrics], Iterator[Sample]]


def _one(value: Callable[[Metrics], float]) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        yield Sample((), value(metrics))

    return samples


def _disks(value: Callable[[DiskCounters], float]) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for each in metrics.disks:
            yield Sample((("disk", each.disk),), value(each))

    return samples


def _nets(value: Callable[[InterfaceCounters], float]) -> Callable[[Metrics], Iterator[Sample]]:
    def samples(metrics: Metrics) -> Iterator[Sample]:
        for each in metrics.interfaces:
            yield Sample((("interface", each.interface),), value(each))

    return samples


def _threads(metrics: Metrics) -> Iterator[Sample]:
    for each in metrics.cpu_threads:
        yield Sample((("cpus", ",".join(map(str, each.cpus))),), each.seconds)


_GAUGE, _COUNTER = "gauge", "counter"
FAMILIES = (
    Family("uptime_seconds", _GAUGE, "Time since the hypervisor started.", _one(lambda m: m.uptime_s)),
    Family("cpus", _GAUGE, "Processors of the guest.", _one(lambda m: m.cpus)),
    Family("memory_bytes", _GAUGE, "Memory of the guest.", _one(lambda m: m.memory_bytes)),
    Family("resident_memory_bytes", _GAUGE, "Memory of the host that is in use.", _one(lambda m: m.rss_bytes)),
    Family("cpu_seconds_total", _COUNTER, "Processor time of the hypervisor.", _one(lambda m: m.cpu_s)),
    Family("vcpu_seconds_total", _COUNTER, "Processor time of a thread that runs processors of the guest.", _threads),
    Family("disk_read_bytes_total", _COUNTER, "Bytes the guest read.", _disks(lambda d: d.read_bytes)),
    Family("disk_written_bytes_total", _COUNTER, "Bytes the guest wrote.", _disks(lambda d: d.written_bytes)),
    Family("disk_reads_completed_total", _COUNTER, "Reads that were completed.", _disks(lambda d: d.reads)),
    Family("disk_writes_completed_total", _COUNTER, "Writes that were completed.", _disks(lambda d: d.writes)),
    Family("disk_flushes_completed_total", _COUNTER, "Flushes that were completed.", _disks(lambda d: d.flushes)),
    Family("disk_read_time_seconds_total", _COUNTER, "Time that reads took.", _disks(lambda d: d.read_s)),
    Family("disk_write_time_seconds_total", _COUNTER, "Time that writes took.", _disks(lambda d: d.write_s)),
    Family("disk_flush_time_seconds_total", _COUNTER, "Time that flushes took.", _disks(lambda d: d.flush_s)),
    Family("disk_errors_total", _COUNTER, "Requests that failed.", _disks(lambda d: d.errors)),
    Family("network_receive_bytes_total", _COUNTER, "Bytes the guest received.", _nets(lambda n: n.received_bytes)),
    Family("network_transmit_bytes_total", _COUNTER, "Bytes the guest sent.", _nets(lambda n: n.sent_bytes)),
    Family("network_receive_packets_total", _COUNTER, "Packets the guest received.", _nets(lambda n: n.received_packets)),
    Family("network_transmit_packets_total", _COUNTER, "Packets the guest sent.", _nets(lambda n: n.sent_packets)),
)  # fmt: skip
_PREFIX = "sampan_machine_"


def render(machines: Sequence[Metrics]) -> str:
    """The counters of `machines` as text; families nobody has a sample of are left out."""
    return "".join(line + "\n" for family in FAMILIES for line in _family(family, machines))


def _family(family: Family, machines: Sequence[Metrics]) -> Iterator[str]:
    name = _PREFIX + family.name
    samples = [
        Sample((("machine", metrics.machine), *sample.labels), sample.value)
        for metrics in machines
        for sample in family.samples(metrics)
    ]
    if not samples:
        return
    yield f"# HELP {name} {family.help}"
    yield f"# TYPE {name} {family.kind}"
    for labels, value in samples:
        pairs = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        yield f"{name}{{{pairs}}} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
