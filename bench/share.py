"""Shared folders of an emulated machine: our server beside virtiofsd and QEMU's 9P.

    .venv/bin/python bench/share.py [--rounds N] [--write]

The same system (bench/share.yml) measures its folders in turn, started by `sampan.machine`, and by
a QEMU and a virtiofsd with the words of QEMU's manual.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import results
from net_guest import built
from results import rows

from sampan import machine
from sampan.base import proc
from sampan.machine.model import Accelerator
from sampan.machine.sharing import share

MEASURES = ("write, MB/s", "read, MB/s", "create/s", "stat/s", "unlink/s")
WHO = {
    ("sampan", "virtiofs"): "Sampan's own (Python)",
    ("by hand", "virtiofs"): "virtiofsd (C)",
    ("by hand", "nine"): "9P of QEMU (C)",
}
RUN_S = 150
_RESULT = re.compile(r"^RESULT (\w+) ([\d. ]+)\r?$", re.MULTILINE)


def by_sampan(prefix: Path, folder: Path) -> str:
    """What the system printed, started by us."""
    shares = share.parse([f"{folder}:/share/virtiofs"])
    spec = machine.MachineSpec(
        kernel=Path(f"{prefix}-kernel"), initrd=Path(f"{prefix}-initrd.img"),
        cmdline=Path(f"{prefix}-cmdline").read_text().strip(), mem_mib=256,
        accel=Accelerator.TCG, network=machine.Network.NONE, shares=shares,
    )  # fmt: skip
    with machine.launch(spec) as vm:
        vm.wait(timeout_s=RUN_S)
        return vm.console.transcript


def by_hand(prefix: Path, folder: Path) -> str:
    """What it printed, started by QEMU's manual."""
    path = folder.parent / "virtiofsd.sock"
    daemon = subprocess.Popen(
        [proc.find_tool("virtiofsd"), f"--socket-path={path}", "-o", f"source={folder}"],
        stderr=subprocess.DEVNULL,
    )
    try:
        while not path.exists():
            time.sleep(0.01)
        mounts = "sampan.share=fs0:virtiofs:/share/virtiofs sampan.share=fs1:9p:/share/nine"
        command_line = Path(f"{prefix}-cmdline").read_text().strip()
        return subprocess.run(
            [
                "qemu-system-x86_64", "-nodefaults", "-display", "none", "-accel", "tcg",
                "-cpu", "max", "-machine", "pc,memory-backend=mem", "-m", "256M",
                "-object", "memory-backend-memfd,id=mem,size=256M,share=on", "-serial", "stdio",
                "-kernel", f"{prefix}-kernel", "-initrd", f"{prefix}-initrd.img",
                "-append", f"{command_line} {mounts}",
                "-chardev", f"socket,id=char0,path={path}",
                "-device", "vhost-user-fs-pci,chardev=char0,tag=fs0,vectors=0",
                "-fsdev", f"local,id=fs1,path={folder},security_model=mapped-xattr",
                "-device", "virtio-9p-pci,fsdev=fs1,mount_tag=fs1",
            ],
            check=True, capture_output=True, text=True, timeout=RUN_S, stdin=subprocess.DEVNULL,
        ).stdout  # fmt: skip
    finally:
        daemon.terminate()
        daemon.wait()
        path.unlink(missing_ok=True)


STARTERS = {"sampan": by_sampan, "by hand": by_hand}


def measured(rounds: int) -> dict[tuple[str, str], list[float]]:
    """Figures by server and measure."""
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        prefix = built(Path(name), Path(__file__).with_name("share.yml"))
        for _ in range(rounds):
            for who, start in STARTERS.items():
                with tempfile.TemporaryDirectory(dir=name) as shared:
                    said = start(prefix, Path(shared))
                results = _RESULT.findall(said)
                if len(results) != [each for each, _ in WHO].count(who):
                    raise SystemExit(f"{who}: {said}")
                for kind, figures in results:
                    server = WHO[who, kind]
                    sys.stderr.write(f"{server:22} {figures}\n")
                    for what, figure in zip(MEASURES, map(float, figures.split()), strict=True):
                        found[server, what].append(figure)
    return found


def section(found: dict[tuple[str, str], list[float]], rounds: int) -> str:
    """The section of RESULTS.md."""
    table = [
        (server, *(f"{max(found[server, what]):.0f}" for what in MEASURES))
        for server in WHO.values()
    ]  # fmt: skip
    return f"""## Shared folders

`python bench/share.py`, best of {rounds}, {os.cpu_count()} processors, as root. A Linux guest with one processor
that QEMU emulates (TCG); a file of 64 MiB written (with fsync) and read, 300 empty files made,
asked for and removed, with cold caches where the guest has any. virtiofsd is QEMU's (7.2).

{rows(("", *MEASURES), table)}
"""


def main() -> None:
    options = results.parser(__doc__, 4).parse_args()
    text = section(measured(options.rounds), options.rounds)
    results.show("shares", text, write=options.write)


if __name__ == "__main__":
    main()
