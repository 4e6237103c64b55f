"""vsock of an emulated machine, beside virtio-serial and TCP through QEMU's user network.

    .venv/bin/python bench/vsock.py [--rounds N] [--write]

One machine with one processor under TCG runs bench/vsock.yml: the same program (Python, reads and
writes of up to 256 KiB) at the other end of all three. The client is a process of its own, so
that our device has its interpreter to itself, as QEMU has for the others.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import results
from net_guest import built
from results import rows

from sampan import machine
from sampan.machine.model import Accelerator

PORT = 7
MIB = 128
TRIPS = 2000
MEASURES = ("to the host, MB/s", "to the guest, MB/s", "round trip, µs")
WAYS = ("vsock", "virtio-serial", "TCP, user network")
BOOT_S = 200


def connect(address: str) -> socket.socket:
    """A connection to a port of this host, or to a Unix socket."""
    if address.startswith("/"):
        made = socket.socket(socket.AF_UNIX)
        made.connect(address)
        return made
    made = socket.create_connection(("127.0.0.1", int(address)))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def measure(address: str) -> list[float]:
    """All `MEASURES` of the program behind an address, on one connection."""
    size, buffer = MIB << 20, bytearray(1 << 20)
    with connect(address) as peer:
        began, left = time.perf_counter(), size
        peer.sendall(b"source %d" % size)
        while left:
            left -= peer.recv_into(buffer)
        up = size / (time.perf_counter() - began) / 1e6
        peer.sendall(b"sink %d" % size)
        peer.recv(2)
        began = time.perf_counter()
        for _ in range(MIB):
            peer.sendall(buffer)
        peer.recv(4)
        down = size / (time.perf_counter() - began) / 1e6
        peer.sendall(b"trip %d" % TRIPS)
        peer.recv(2)
        trips = []
        for _ in range(TRIPS):
            began = time.perf_counter()
            peer.sendall(b"x")
            peer.recv(1)
            trips.append(time.perf_counter() - began)
    return [up, down, statistics.median(trips) * 1e6]


@contextmanager
def booted(prefix: Path, folder: Path) -> Iterator[dict[str, str]]:
    """A machine, and where the program is behind each way."""
    spec = machine.MachineSpec(
        kernel=Path(f"{prefix}-kernel"),
        initrd=Path(f"{prefix}-initrd.img"),
        cmdline=Path(f"{prefix}-cmdline").read_text(),
        mem_mib=256,
        accel=Accelerator.TCG,
        vsock=machine.Vsock(ports=(PORT,)),
        publish=(machine.Forward.parse(f"0:{PORT}"),),
        devices=("virtio-serial-pci,id=bench",),
        name="bench",
    )
    with machine.launch(spec) as vm:
        path = str(folder / "serial")
        where = {"type": "unix", "data": {"path": path}}
        backend = {"type": "socket", "data": {"addr": where, "server": True, "wait": False}}
        vm.execute("chardev-add", {"id": "bench-line", "backend": backend})
        port = {"driver": "virtserialport", "bus": "bench.0", "chardev": "bench-line"}
        vm.execute("device_add", {**port, "id": "bench-port", "name": "bench"})
        vm.console.expect(re.compile(r"\(ns: getty\)"), timeout_s=BOOT_S)
        for kind in ("vsock", "tcp", "serial"):
            vm.console.send_line(f"nsenter -t 1 -m -- python3.13 /etc/vsock_peer.py {kind}")
            vm.console.expect(re.compile(r"\nserving\r?\n"), timeout_s=BOOT_S)
        ways = (str(vm.vsock.folder / f"guest.{PORT:08x}"), path, str(vm.forwards[0].host_port))
        yield dict(zip(WAYS, ways, strict=True))


def measured(rounds: int) -> dict[tuple[str, str], list[float]]:
    """Figures by way and measure."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        folder = Path(name)
        prefix = built(folder, Path(__file__).with_name("vsock.yml"))
        for _ in range(rounds):
            with booted(prefix, folder) as ways:
                for way, address in ways.items():
                    for _ in range(2):  # emulated code has been translated the second time
                        told = subprocess.run(
                            [sys.executable, __file__, "--client", address],
                            check=True, capture_output=True, text=True,
                        ).stdout  # fmt: skip
                    figures = list(map(float, told.split()))
                    sys.stderr.write(f"{way:20} {figures}\n")
                    for what, figure in zip(MEASURES, figures, strict=True):
                        found[way, what].append(figure)
    return found


def section(found: dict[tuple[str, str], list[float]], rounds: int) -> str:
    """The section of RESULTS.md."""
    table = [
        (way, *(f"{statistics.median(found[way, what]):.0f}" for what in MEASURES)) for way in WAYS
    ]
    return f"""## vsock

`python bench/vsock.py`, medians of {rounds}, {os.cpu_count()} processors. A Linux guest with one processor that
QEMU emulates (TCG), and in it the same Python program for all three; {MIB} MiB each way,
{TRIPS} round trips of one byte, for which our device takes two more changes of process than QEMU's
own. Its first prototype had 51 MB/s each way and 352 µs.

{rows(("", *MEASURES), table)}
"""


def main() -> None:
    parser = results.parser(__doc__, 3)
    parser.add_argument("--client", metavar="ADDRESS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.client:
        sys.stdout.write(" ".join(map(str, measure(options.client))) + "\n")
        return
    text = section(measured(options.rounds), options.rounds)
    results.show("vsock", text, write=options.write)


if __name__ == "__main__":
    main()
