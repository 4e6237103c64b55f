"""The results of bench/net.py as Markdown: medians, ratios to each peer, and the section itself."""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import textwrap
from collections.abc import Sequence
from pathlib import Path

from net_contender import Contender
from net_measure import FLOWS, UDP_BYTES, Sample
from results import rows

from sampan.base import proc

_GBIT = ("up", "down", "up x4", "down x4")
_LOSS = ("UDP loss up", "UDP loss down")
_RATES = ("trips", "conn 1", "conn 16", "closed")
_MEMORY = ("RSS MB", "RSS MB of all")
_RATIOS = (*_GBIT, *_RATES)


class Medians:
    """The median of each measure, by contender, MTU and name."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._samples = samples

    def value(self, who: str, mtu: int, measure: str) -> float | None:
        """None if it failed or was not measured."""
        found = [one.value for one in self._of(who, mtu, measure) if one.value is not None]
        return statistics.median(found) if found else None

    def per(self, who: str, mtu: int, measure: str, unit: float) -> float | None:
        """Processor seconds of the contender for `unit` of what the measure counts."""
        found = [
            one.cpu_s / (one.value * one.seconds) * unit
            for one in self._of(who, mtu, measure)
            if one.value
        ]
        return statistics.median(found) if found else None

    def share(self, who: str, mtu: int, measure: str) -> float | None:
        """How many per cent of the contender's processor time the kernel spent."""
        found = [one.kernel_s / one.cpu_s for one in self._of(who, mtu, measure) if one.cpu_s]
        return 100 * statistics.median(found) if found else None

    def _of(self, who: str, mtu: int, measure: str) -> list[Sample]:
        wanted = (who, mtu, measure)
        return [one for one in self._samples if (one.contender, one.mtu, one.measure) == wanted]


def line(sample: Sample) -> str:
    """A sample for people who watch."""
    value = "failed" if sample.value is None else f"{sample.value:.2f}"
    return (
        f"{sample.round} {sample.contender:12} {sample.mtu:6} {sample.measure:14} {value:>10}"
        f"   {sample.cpu_s:.2f} s"
    )


def shown(value: float | None, digits: int = 1, unit: str = "") -> str:
    """A cell; thousands as `k`."""
    if value is None:
        return "-"
    return f"{value / 1000:.1f}k" if value >= 1000 else f"{value:.{digits}f}{unit}"


def throughput(found: Medians, names: Sequence[str], mtu: int) -> str:
    """The main table at an MTU."""
    head = (
        "", "up", "down", "up x4", "down x4", "UDP loss up", "down", "round trips/s",
        "connections/s, 1", "16 at once", "closed by server", "RSS MB", "of all",
    )  # fmt: skip
    table = []
    for name in names:
        cells = [shown(found.value(name, mtu, one)) for one in _GBIT]
        cells += [shown(found.value(name, mtu, one), unit=" %") for one in _LOSS]
        cells += [shown(found.value(name, mtu, one)) for one in _RATES]
        cells += [shown(found.value(name, mtu, one), 0) for one in _MEMORY]
        table.append((name, *cells))
    return rows(head, table)


def ratios(found: Medians, names: Sequence[str], mtu: int) -> str:
    """How many times each peer Sampan does."""
    table = []
    for name in names:
        cells = []
        for measure in _RATIOS:
            ours, theirs = (found.value(who, mtu, measure) for who in ("sampan", name))
            cells.append(shown(ours / theirs if ours and theirs else None, 2))
        table.append((f"sampan ÷ {name}", *cells))
    head = (
        "", "up", "down", "up x4", "down x4", "round trips", "connections, 1", "16 at once",
        "closed by server",
    )  # fmt: skip
    return rows(head, table)


def costs(found: Medians, names: Sequence[str], mtu: int) -> str:
    """Processor time for what was done."""
    table = [
        (
            name,
            *(shown(found.per(name, mtu, one, 8), 2) for one in _GBIT),
            *(shown(found.per(name, mtu, one, 10_000), 2) for one in _RATES),
            *(shown(found.share(name, mtu, one), 0, " %") for one in ("up", "down", "conn 16")),
        )
        for name in names
        if name != "veth"
    ]
    head = (
        "processor seconds", "per GB up", "down", "up x4", "down x4", "per 10,000 round trips",
        "connections, 1", "16 at once", "closed by server",
        "of it in the kernel: up", "down", "16 at once",
    )  # fmt: skip
    return rows(head, table)


def growth(found: Medians, names: Sequence[str], mtu: int) -> str:
    """Round trips per second on one of many open flows."""
    table = [
        (name, *(shown(found.value(name, mtu, f"{flows} flows")) for flows in FLOWS))
        for name in names
    ]
    return rows(("round trips/s with", *(f"{flows:,} flows open" for flows in FLOWS)), table)


def machine() -> str:
    """The facts of the computer that the figures depend on."""
    cpu = "unknown processor"
    for row in Path("/proc/cpuinfo").read_text().splitlines():
        if row.startswith("model name"):
            cpu = row.partition(":")[2].strip()
            break
    return (
        f"{os.cpu_count()} x {cpu}, Linux {platform.release()}, Python {platform.python_version()}"
    )


def versions(chosen: Sequence[Contender]) -> str:
    """What the peers say they are."""
    found = []
    for one in chosen:
        if one.version:
            said = proc.run(one.version, check=False).stdout.decode().splitlines()
            found.append(said[0].removesuffix(".") if said else one.name)
    return ", ".join(found)


def section(
    samples: Sequence[Sample], chosen: Sequence[Contender], options: argparse.Namespace
) -> str:
    """The text for RESULTS.md."""
    found = Medians(samples)
    low = min(options.mtu)
    about = (
        f"`python bench/net.py`, medians of {options.rounds} rounds of {options.seconds} s, the "
        f"contenders in turn in each.\n{machine()}; {versions(chosen)}.\nOne network namespace "
        "with a TAP, servers on loopback in another; congestion control "
        f"{options.congestion} on both\nsides. "
        "TCP in Gbit/s (iperf3); UDP 500 Mbit/s in datagrams of "
        f"{UDP_BYTES:,} bytes; a round trip is one\nbyte there and back; a connection is opened, "
        "sends a byte, gets one and is closed by the machine, or, 16 at once, by the server. RSS is\nthe "
        "peak up to there, and with the many flows. `qemu` is QEMU's\nuser networking joined to the "
        "TAP by QEMU's hub (no guest; it knows no other MTU than 1500).\n`veth` is the kernel "
        "without any program: the limit."
    )
    parts = [about]
    for mtu in options.mtu:
        names = [one.name for one in chosen if mtu in one.mtus]
        peers = [name for name in names if name != "sampan"]
        parts.append(f"### MTU {mtu}\n\n" + throughput(found, names, mtu))
        if "sampan" in names:
            parts.append(ratios(found, peers, mtu))
        parts.append(costs(found, names, mtu))
        if mtu == low:
            parts.append(growth(found, names, mtu))
    return "\n\n".join(["## Network", textwrap.fill(parts[0], 98), *parts[1:]])
