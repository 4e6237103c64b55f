"""How long `sampan build` takes, as a whole process, and what its peers need for the same tree.

    python bench/build.py [--keep FOLDER]

Writes the section "Building" of RESULTS.md. Peers get the tree already unpacked on disk, so
they read plain files where Sampan reads compressed layers.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import results

from sampan.base import proc

SYSTEM = Path(__file__).parent / "system.py"
MB = 1_000_000
YAML = """\
kernel: {image: bench/kernel:1, cmdline: "console=ttyS0"}
init: [bench/init:1, bench/containerd:1]
services:
  - {name: app, image: bench/app:1}
files:
  - {path: etc/motd, contents: "%s"}
"""
RUNS = 7
_AS_INSTALLED = {"PYTHONDONTWRITEBYTECODE": ""}  # pip compiles what it installs


class Measured:
    """Wall-clock seconds and peak memory (MB) of the largest process, and bytes written."""

    def __init__(self, seconds: float, rss_mb: float, size: int) -> None:
        self.seconds = seconds
        self.rss_mb = rss_mb
        self.size = size


def run(argv: list[str | Path], output: Path) -> Measured:
    """One run of a program; memory is that of the process and of its children it waited for."""
    begin = time.perf_counter()
    with Path(os.devnull).open("wb") as nowhere:
        child = proc.start(argv, env=_AS_INSTALLED, stdout=nowhere)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - begin
    child.returncode = status
    if status:
        raise SystemExit(f"{argv[0]} failed")
    return Measured(seconds, usage.ru_maxrss / 1000, output.stat().st_size)


def typical(one: Callable[[], Measured]) -> Measured:
    """The run in the middle of `RUNS`, by seconds, after one that does not count."""
    one()
    return sorted((one() for _ in range(RUNS)), key=lambda found: found.seconds)[RUNS // 2]


class Bench:
    """The system in `folder` and the ways to build it."""

    def __init__(self, folder: Path) -> None:
        self._cache = folder / "cache"
        self._out = folder / "out"
        self._tree = folder / "tree"
        self._count = 0
        self._out.mkdir(parents=True, exist_ok=True)
        # in a process of its own: the memory of a parent counts in its children's peak
        proc.run([sys.executable, SYSTEM, self._cache])
        self._unpack()

    def _sampan(self, form: str, output: str) -> Measured:
        yaml = self._out / "web.yml"
        yaml.write_text(YAML % self._count)
        argv: list[str | Path] = [
            sys.executable, "-m", "sampan", "--cache", self._cache, "-q", "build", "--format",
            form, "--dir", self._out, yaml,
        ]  # fmt: skip
        return run(argv, self._out / output)

    def first(self) -> Measured:
        shutil.rmtree(self._cache / "steps", ignore_errors=True)
        return self._sampan("kernel+initrd", "web-initrd.img")

    def again(self) -> Measured:
        self._count += 1
        return self._sampan("kernel+initrd", "web-initrd.img")

    def tar(self) -> Measured:
        shutil.rmtree(self._cache / "steps", ignore_errors=True)
        return self._sampan("tar", "web.tar")

    def _unpack(self) -> None:
        if not self._tree.exists():
            self._sampan("tar", "web.tar")
            self._tree.mkdir()
            proc.run(["tar", "-xf", self._out / "web.tar", "-C", self._tree])

    def _shell(self, command: str, output: str) -> Measured:
        path = self._out / output
        script = f"cd {self._tree} && {command} > {path}"
        return run(["sh", "-c", script], path)

    def cpio_zstd(self) -> Measured:
        return self._shell("find . | cpio -o -H newc --quiet | zstd -q -1 -T0", "peer.zst")

    def cpio_gzip(self) -> Measured:
        return self._shell("find . | cpio -o -H newc --quiet | gzip -6", "peer.gz")

    def gnu_tar(self) -> Measured:
        return self._shell("tar -cf - .", "peer.tar")


def table(bench: Bench) -> str:
    """The results as Markdown."""
    first, again, tar = (typical(one) for one in (bench.first, bench.again, bench.tar))
    zstd, plain = typical(bench.cpio_zstd), typical(bench.gnu_tar)
    gzip = bench.cpio_gzip()
    spoken = typical(lambda: run([sys.executable, "-m", "sampan", "--help"], results.FILE))
    rows = [
        ("kernel+initrd, first build", first, f"{zstd.seconds / first.seconds:.1f}", "14 s, 520 MB"),
        ("kernel+initrd, one inline file changed", again, f"{zstd.seconds / again.seconds:.1f}", "14 s, 520 MB"),
        ("tar", tar, f"{plain.seconds / tar.seconds:.1f}", "5 s, 390 MB"),
        ("peer: find, GNU cpio, zstd -1 -T0", zstd, "1", ""),
        ("peer: find, GNU cpio, gzip -6", gzip, f"{zstd.seconds / gzip.seconds:.2f}", ""),
        ("peer: GNU tar", plain, "1", ""),
    ]  # fmt: skip
    lines = [
        "| what | seconds | peak memory | output | times its peer | LinuxKit (as reported) |",
        "|---|---|---|---|---|---|",
    ]
    for name, one, ratio, linuxkit in rows:
        size = f"{one.size / MB:.0f} MB"
        lines.append(
            f"| {name} | {one.seconds:.2f} | {one.rss_mb:.0f} MB | {size} | {ratio} | {linuxkit} |"
        )
    lines.append(f"| `sampan --help` | {spoken.seconds:.3f} | {spoken.rss_mb:.0f} MB | | | |")
    return "\n".join(lines)


def section(found: str) -> str:
    """The section of RESULTS.md."""
    return (
        f"## Building\n\n"
        f"`python bench/build.py`, median of {RUNS}, {os.cpu_count()} processors. A made-up tree "
        "of 330 MB and 4,000 files (kernel\nmodules, containerd, a service of 120 MB), gzip layers "
        "in the cache. Whole processes, from\nstart to exit. The peers read the tree unpacked from "
        "disk; the ratio is to the peer of the\nsame kind (more is better). LinuxKit's figures are "
        f"those of a 2-processor machine, quoted.\n\n{found}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure sampan build.")
    parser.add_argument("--keep", type=Path, help="keep the made-up system here")
    keep = parser.parse_args().keep
    with tempfile.TemporaryDirectory() as folder:
        found = table(Bench(keep or Path(folder)))
    results.show("building", section(found), write=True)


if __name__ == "__main__":
    main()
