"""What `sampan run` takes beside the hypervisor: a machine that powers itself off at once.

    .venv/bin/python bench/run.py [--rounds N] [--write]

Its kernel is eight bytes in the real-mode part of a bzImage: it asks ACPI for power off as soon
as the firmware has started it. The same QEMU is started by hand in turn, and a shell script in
its place says when it begins and ends. Bytecode is compiled beforehand, as after an installation.
"""

from __future__ import annotations

import os
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import results
from net_guest import by_hand
from results import rows

QEMU = "qemu-system-x86_64"
WAYS = ("sampan run", "QEMU by hand")
PHASES = ("until QEMU starts", "while it runs", "after it has ended")

_SETUP, _ENTRY = 0x200, 0x26C  # where the real-mode code begins, and goes on behind its header
_POWER_OFF = b"\xba\x04\x06\xb8\x00\x20\xef\xf4"  # mov dx, 0x604; mov ax, 0x2000; out dx, ax; hlt
_TIMED = """\
#!/bin/sh
date +%s.%N > "$STAMPS"
"$REAL" "$@"
status=$?
date +%s.%N >> "$STAMPS"
exit $status
"""


def kernel() -> bytes:
    """A bzImage (Linux, Documentation/arch/x86/boot.rst) that powers the machine off."""
    image = bytearray(_SETUP + 1024)
    image[0x1F1] = 1  # sectors of real-mode code, beside the first
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    image[_SETUP : _SETUP + 2] = bytes((0xEB, _ENTRY - _SETUP - 2))  # jmp
    struct.pack_into("<4sH", image, 0x202, b"HdrS", 0x20C)
    image[0x211] = 1  # the rest is loaded high
    struct.pack_into("<I", image, 0x22C, 0x37FFFFFF)  # where an initrd may end
    image[_ENTRY : _ENTRY + len(_POWER_OFF)] = _POWER_OFF
    return bytes(image)


def system(folder: Path) -> Path:
    """The prefix of a system with that kernel."""
    prefix = folder / "off"
    Path(f"{prefix}-kernel").write_bytes(kernel())
    Path(f"{prefix}-initrd.img").write_bytes(bytes(4096))
    Path(f"{prefix}-cmdline").write_text("console=ttyS0")
    return prefix


def command(way: str, prefix: Path) -> list[str]:
    """The command line of a way."""
    if way == "QEMU by hand":
        return by_hand(prefix)
    return [sys.executable, "-m", "sampan", "run", "--accel", "tcg", "--mem", "160", str(prefix)]


def once(words: list[str], environment: dict[str, str]) -> tuple[float, float]:
    """When a program began, and how long it took, in seconds."""
    wall, began = time.time(), time.perf_counter()
    subprocess.run(
        words, check=True, stdin=subprocess.DEVNULL, capture_output=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
    )  # fmt: skip
    return wall, time.perf_counter() - began


def phases(prefix: Path, folder: Path, environment: dict[str, str]) -> tuple[float, ...]:
    """How long `sampan run` takes for each of `PHASES`."""
    real = shutil.which(QEMU)
    if real is None:
        raise SystemExit(f"{QEMU} is not installed")
    script, stamps = folder / "bin" / QEMU, folder / "stamps"
    script.parent.mkdir(exist_ok=True)
    script.write_text(_TIMED)
    script.chmod(0o755)
    path = f"{script.parent}{os.pathsep}{os.environ['PATH']}"
    wall, took = once(
        command("sampan run", prefix),
        {**environment, "PATH": path, "REAL": real, "STAMPS": str(stamps)},
    )
    begins, ends = map(float, stamps.read_text().split())
    return begins - wall, ends - begins, wall + took - ends


def measured(rounds: int) -> dict[str, list[float]]:
    """Seconds by way and by phase."""
    found: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        folder = Path(name)
        prefix = system(folder)
        places = {"SAMPAN_RUNTIME_DIR": f"{name}/r", "SAMPAN_STATE_DIR": f"{name}/s"}
        for number in range(rounds + 1):
            taken = {way: once(command(way, prefix), places)[1] for way in WAYS}
            taken |= zip(PHASES, phases(prefix, folder, places), strict=True)
            if number:  # the first compiles
                for what, seconds in taken.items():
                    found[what].append(seconds)
    return found


def section(found: dict[str, list[float]], rounds: int) -> str:
    """The section of RESULTS.md."""
    table = [
        (what, f"{statistics.median(found[what]):.2f}", f"{min(found[what]):.2f}")
        for what in (*WAYS, *PHASES)
    ]
    more = statistics.median(found[WAYS[0]]) - statistics.median(found[WAYS[1]])
    return f"""## What `sampan run` takes itself

`python bench/run.py`, medians of {rounds} in turn, {os.cpu_count()} processors. Whole processes, from start to exit,
with a network of our own; the machine's kernel powers it off at once (TCG). The phases are those of `sampan run`.

{rows(("seconds", "median", "least"), table)}

`sampan run` takes {more:.2f} s more than the same QEMU typed by hand.
"""


def main() -> None:
    options = results.parser(__doc__, 9).parse_args()
    text = section(measured(options.rounds), options.rounds)
    results.show("sampan run", text, write=options.write)


if __name__ == "__main__":
    main()
