"""What bench/net.py measures of one contender at one MTU, and what it costs the contender."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from net_contender import Contender
from net_place import CLOSING_PORT, ECHO_PORT, IPERF_PORT, Place, end

from sampan.base import proc
from sampan.errors import SampanError

CLIENT = Path(__file__).with_name("net_client.py")
FLOWS = (1, 100, 1000, 2000)
UDP_BYTES = 1400
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """One measured value: Gbit/s, per cent lost or times per second; None when it failed.

    `cpu_s` is the processor time the contender used in it, `kernel_s` the kernel's part of that,
    and `seconds` how long it took.
    """

    contender: str
    mtu: int
    round: int
    measure: str
    value: float | None
    cpu_s: float
    kernel_s: float
    seconds: float


def processes(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return
    for child in children.split():
        yield from processes(int(child))


def cpu_s(pid: int) -> tuple[float, float]:
    """Processor time that a process and its children have used: in all, and in the kernel."""
    total = kernel = 0
    for one in processes(pid):
        fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
        kernel += int(fields[12])
    return total / _TICKS, kernel / _TICKS


def peak_mb(pid: int) -> float:
    """The most memory (RSS) that a process and its children have had."""
    total = 0
    for one in processes(pid):
        for line in Path(f"/proc/{one}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                total += int(line.split()[1])
    return total / 1000


class Session:
    """One contender attached at one MTU."""

    def __init__(self, place: Place, contender: Contender, mtu: int, seconds: int) -> None:
        self._place = place
        self._contender = contender
        self._mtu = mtu
        self._seconds = seconds
        self._child: proc.Child | None = None

    @contextmanager
    def attached(self) -> Iterator[None]:
        """Start the contender in a new namespace, until the server can be reached."""
        self._place.renew_inside()
        self._child = self._contender.start(self._place, self._mtu)
        try:
            self._client("wait", ECHO_PORT)
            yield
        finally:
            if self._child is not None:
                end(self._child)

    def measures(self, *, growth: bool) -> dict[str, Callable[[], float]]:
        """Name of each measure and the function that takes it."""
        time_ = str(self._seconds)
        udp = ("-u", "-b", "500M", "-l", str(UDP_BYTES))
        found: dict[str, Callable[[], float]] = {
            "up": self._iperf,
            "down": lambda: self._iperf("-R"),
            "up x4": lambda: self._iperf("-P", "4"),
            "down x4": lambda: self._iperf("-P", "4", "-R"),
            "UDP loss up": lambda: self._iperf(*udp),
            "UDP loss down": lambda: self._iperf(*udp, "-R"),
            "trips": lambda: self._client("trips", ECHO_PORT, time_, "1"),
            "conn 1": lambda: self._client("connections", ECHO_PORT, time_, "1"),
            "conn 16": lambda: self._client("connections", ECHO_PORT, time_, "16"),
        }
        found["RSS MB"] = self._peak_mb
        found["closed"] = lambda: self._client("closed", CLOSING_PORT, time_, "16")
        for flows in FLOWS if growth else ():
            found[f"{flows} flows"] = lambda flows=flows: self._client(  # type: ignore[misc]
                "trips", ECHO_PORT, "1", str(flows)
            )
        found["RSS MB of all"] = self._peak_mb
        return found

    def take(
        self, number: int, wanted: Sequence[str] | None = None, *, growth: bool
    ) -> Iterator[Sample]:
        """Every measure once, or those that are wanted."""
        for name, measure in self.measures(growth=growth).items():
            if wanted is not None and name not in wanted:
                continue
            before = self._cpu_s()
            try:
                value: float | None = measure()
            except (SampanError, TimeoutError, ValueError) as error:
                sys.stderr.write(f"{self._contender.name} MTU {self._mtu} {name}: {error}\n")
                value = None
            used, kernel = (now - then for now, then in zip(self._cpu_s(), before, strict=True))
            who = self._contender.name
            yield Sample(who, self._mtu, number, name, value, used, kernel, self._seconds)

    def _peak_mb(self) -> float:
        return 0.0 if self._child is None else peak_mb(self._child.pid)

    def _cpu_s(self) -> tuple[float, float]:
        return (0.0, 0.0) if self._child is None else cpu_s(self._child.pid)

    def _client(self, name: str, port: int, *arguments: str) -> float:
        argv: list[str | Path] = [
            sys.executable,
            "-S",
            CLIENT,
            name,
            self._contender.host,
            str(port),
        ]
        return float(self._place.run(self._place.inside, [*argv, *arguments]))

    def _iperf(self, *options: str) -> float:
        """Gbit/s that arrived, or for UDP how many per cent did not."""
        argv = [
            "iperf3", "-J", "-c", self._contender.host, "-p", str(IPERF_PORT), "-t",
            str(self._seconds), "--connect-timeout", "3000", *options,
        ]  # fmt: skip
        report = json.loads(self._place.run(self._place.inside, argv, self._seconds + 15))["end"]
        if "-u" in options:
            return float(report["sum"]["lost_percent"])
        return float(report["sum_received"]["bits_per_second"]) / 1e9
