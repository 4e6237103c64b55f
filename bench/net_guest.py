"""A machine's network under emulation: our two links beside QEMU's own user networking.

    .venv/bin/python bench/net_guest.py [--rounds N] [--write]

One machine for each way and round boots tests/guest/systems/network.yml with one processor,
under TCG, and is asked on its console. Its processor is the limit: what is measured is how much
work each way leaves to it, and to us. `sampan run` is measured beside a hand-typed QEMU, too:
from start to the end of a machine that says hello.
"""

from __future__ import annotations

import os
import re
import resource
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
from results import rows

from sampan import machine, spec
from sampan.desktop.link import Link
from sampan.desktop.network import Networking, Options, connection
from sampan.image import build
from sampan.image.output import Output
from sampan.machine.drivers import qemu_argv
from sampan.machine.model import Accelerator, Network
from sampan.oci.layout import Cache
from sampan.oci.model import Platform
from sampan.package import build as package_build

ROOT = Path(__file__).parents[1]
SIZE = 64 << 20
TRIPS, CONNECTIONS = 500, 100
PORTS = ("0:7", "0:81")
WAYS = {
    "sampan, stream": Options(publish=PORTS, link=Link.STREAM),
    "sampan, vhost-user": Options(publish=PORTS, link=Link.VHOST_USER),
    "QEMU's user networking": Options(publish=PORTS, networking=Networking.USER),
}
HOSTS = {Networking.VPNKIT: "192.168.65.254", Networking.USER: "10.0.2.2"}


class Guest:
    """A booted machine and the shell on its console."""

    def __init__(self, running: machine.Machine, ports: tuple[int, int], host: str) -> None:
        self._console = running.console
        self._count = 0
        self.pid = running.pid
        self.echo, self.web = ports
        self.host = host

    def begin(self, command: str) -> None:
        """Start a command; `end` waits for it."""
        self._count += 1
        self._console.send_line(f"{command}; echo E$((0 + {self._count}))")

    def end(self) -> None:
        """Wait until the command has ended."""
        self._console.expect(re.compile(rf"\nE{self._count}\r?\n"), timeout_s=300)


@contextmanager
def booted(prefix: Path, way: Options) -> Iterator[Guest]:
    """A machine of the system at `prefix`, connected in some way."""
    wanted = machine.MachineSpec(
        kernel=Path(f"{prefix}-kernel"),
        initrd=Path(f"{prefix}-initrd.img"),
        cmdline=Path(f"{prefix}-cmdline").read_text(),
        mem_mib=256,
        accel=Accelerator.TCG,
        name="bench",
    )
    with connection(wanted, way) as made:
        fd = None if made.link is None else made.link.fileno()
        options = machine.LaunchOptions(link_fd=fd, link_path=made.link_path)
        with machine.launch(made.spec, options) as running:
            running.console.expect(re.compile("running, .* after boot"), timeout_s=200)
            echo, web = made.published or running.forwards
            guest = Guest(running, (echo.host_port, web.host_port), HOSTS[way.networking])
            guest.begin(f"truncate -s {SIZE} /tmp/hole; httpd -p 81 -h /tmp")
            guest.end()
            yield guest


def upload(guest: Guest) -> float:
    """Megabytes a second from the guest, which sends a file; it is a hole."""
    with socket.create_connection(("127.0.0.1", guest.web)) as client:
        began, size = time.perf_counter(), 0
        client.sendall(b"GET /hole HTTP/1.0\r\n\r\n")
        while data := client.recv(1 << 20):
            size += len(data)
        assert size > SIZE
        return size / (time.perf_counter() - began) / 1e6


def download(guest: Guest) -> float:
    """Megabytes a second to the guest."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        guest.begin(f"nc {guest.host} {server.getsockname()[1]} < /dev/null > /dev/null")
        with server.accept()[0] as peer:
            began = time.perf_counter()
            peer.sendall(bytes(SIZE))
            peer.shutdown(socket.SHUT_WR)
            guest.end()
            return SIZE / (time.perf_counter() - began) / 1e6


def trips(guest: Guest) -> float:
    """Round trips a second on one connection, through a published port."""
    with socket.create_connection(("127.0.0.1", guest.echo)) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        for _ in range(TRIPS):
            client.sendall(b"x")
            client.recv(1)
        return TRIPS / (time.perf_counter() - began)


def connections(guest: Guest) -> float:
    """Connections a second through a published port, one after another, each with a round trip."""
    began = time.perf_counter()
    for _ in range(CONNECTIONS):
        with socket.create_connection(("127.0.0.1", guest.echo)) as client:
            client.sendall(b"x")
            client.recv(1)
    return CONNECTIONS / (time.perf_counter() - began)


MEASURES = {
    "up MB/s": upload,
    "down MB/s": download,
    "round trips/s": trips,
    "connections/s": connections,
}


def hello(prefix: Path, *, plain: bool) -> float:
    """Seconds from start to end of a machine that says hello."""
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as folder:
        if plain:
            command = by_hand(prefix)
        else:
            command = [sys.executable, "-m", "sampan", "run", "--accel", "tcg", "--mem", "160"]
            command.append(str(prefix))
        began = time.perf_counter()
        subprocess.run(
            command, check=True, stdin=subprocess.DEVNULL, capture_output=True,
            env={**os.environ, "SAMPAN_RUNTIME_DIR": folder},
        )  # fmt: skip
        return time.perf_counter() - began


def by_hand(prefix: Path) -> list[str]:
    """The same machine as `sampan run` makes, by QEMU alone."""
    wanted = machine.MachineSpec(
        kernel=Path(f"{prefix}-kernel"),
        initrd=Path(f"{prefix}-initrd.img"),
        cmdline=Path(f"{prefix}-cmdline").read_text(),
        mem_mib=160,
        network=Network.USER,
    )
    words = list(
        qemu_argv.build(
            wanted,
            accel=Accelerator.TCG,
            wiring=qemu_argv.Wiring(control_fd=0, console_fd=0),
        )
    )
    words.remove("-S")
    for flag in ("-chardev", "-mon", "-serial"):
        while flag in words:
            del words[words.index(flag) : words.index(flag) + 2]
    return [*words, "-serial", "stdio"]


def built(folder: Path, source: Path) -> Path:
    """A system, from the cache that the tests use."""
    base = os.environ.get("SAMPAN_TEST_CACHE") or f"/tmp/sampan-test-cache-{os.getuid()}"
    cache = Cache(Path(base) / "images")
    build.build(
        spec.load(
            [spec.Source.file(source)],
            resolve_package=lambda path: str(package_build.build(path, cache, Platform.host())),
        ),
        cache=cache,
        platform=Platform.host(),
        formats=("kernel+initrd",),
        output=Output(folder, source.stem),
    )
    return folder / source.stem


def measured(
    folder: Path, rounds: int
) -> tuple[dict[tuple[str, str], list[float]], dict[str, list[float]]]:
    """Figures by way and measure; seconds by who starts the machine."""
    system = built(folder, ROOT / "tests/guest/systems/network.yml")
    greeting = built(folder, ROOT / "examples/systems/hello.yml")
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    starts: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds):
        for name, way in WAYS.items():
            with booted(system, way) as guest:
                upload(guest)  # emulated code has been translated
                for measure, take in MEASURES.items():
                    before = _used(guest.pid)
                    found[name, measure].append(take(guest))
                    used = [now - then for now, then in zip(_used(guest.pid), before, strict=True)]
                    found[name, f"{measure} own"].append(used[0])
                    found[name, f"{measure} QEMU"].append(used[1])
                    sys.stderr.write(
                        f"{number} {name:24} {measure:14} {found[name, measure][-1]:8.1f}"
                        f"   {used[0]:.2f} s + {used[1]:.2f} s\n"
                    )
        for name, plain in (("sampan run", False), ("QEMU by hand", True)):
            starts[name].append(hello(greeting, plain=plain))
            sys.stderr.write(f"{number} {name:24} {starts[name][-1]:8.2f} s\n")
    return found, starts


def _used(pid: int) -> tuple[float, float]:
    """Processor seconds of this process, and of a hypervisor."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = os.sysconf("SC_CLK_TCK")
    return own.ru_utime + own.ru_stime, (int(fields[11]) + int(fields[12])) / ticks


def section(
    found: dict[tuple[str, str], list[float]], starts: dict[str, list[float]], rounds: int
) -> str:
    """The section of RESULTS.md."""
    table = [
        (name, *(f"{statistics.median(found[name, measure]):.0f}" for measure in MEASURES),
         *(f"{statistics.median(found[name, f'{measure} QEMU']):.1f} + "
           f"{statistics.median(found[name, f'{measure} own']):.1f} s"
           for measure in ("up MB/s", "down MB/s")))
        for name in WAYS
    ]  # fmt: skip
    head = (
        "", *MEASURES, f"processor time for {SIZE >> 20} MiB up, QEMU + this process", "down",
    )  # fmt: skip
    run, hand = (statistics.median(starts[name]) for name in ("sampan run", "QEMU by hand"))
    return f"""## Networks of emulated machines

`python bench/net_guest.py`, medians of {rounds}, {os.cpu_count()} processors. A Linux guest with one processor
that QEMU emulates (TCG), MTU 1500; {SIZE >> 20} MiB from busybox httpd
(sendfile) and to busybox nc; round trips and connections through a published port. The guest's processor is the limit.

{rows(head, table)}

From start to end of a machine that says hello: `sampan run` {run:.2f} s, the same QEMU by hand
{hand:.2f} s.
"""


def main() -> None:
    options = results.parser(__doc__, 3).parse_args()
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as folder:
        text = section(*measured(Path(folder), options.rounds), options.rounds)
    results.show("machines' networks", text, write=options.write)


if __name__ == "__main__":
    main()
