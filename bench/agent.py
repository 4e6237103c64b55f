"""Programs and copies in an emulated machine, through the agent.

    .venv/bin/python bench/agent.py [--rounds N] [--write]

One machine with one processor under TCG runs examples/systems/exec.yml.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import results
from net_guest import built
from results import rows

from sampan import machine
from sampan.machine.model import Accelerator
from sampan.machine.view import readiness

SYSTEM = Path(__file__).parents[1] / "examples" / "systems" / "exec.yml"
MIB = 32
BOOT_S = 200


def timed(work: Callable[[], object]) -> float:
    """How long `work` takes, in seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measured(vm: machine.Machine, folder: Path, rounds: int) -> list[tuple[str, str]]:
    """What is said of each measure; the best of `rounds`, or the median."""
    data = bytes(MIB << 20)
    (folder / "data").write_bytes(data)
    source = ["dd", "if=/dev/zero", "bs=64k", f"count={MIB * 16}"]
    speeds = {
        "output of a program": lambda: vm.exec(source, check=True),
        "input of a program": lambda: vm.exec(["sh", "-c", "cat > /dev/null"], input=data),
        "a file to the machine": lambda: vm.copy_to(folder / "data", "/run/copy"),
        "a file from the machine": lambda: vm.copy_from("/run/copy", folder / "back"),
    }
    found = []
    for what, work in speeds.items():
        best_s = min(timed(work) for _ in range(rounds))
        found.append((what, f"{(MIB << 20) / 1e6 / best_s:.1f} MB/s"))
    pings = [timed(lambda: vm.agent.set_clock(time.time())) for _ in range(20 * rounds)]
    found.append(
        (
            "setting the clock, which takes no time itself",
            f"{statistics.median(pings) * 1e3:.1f} ms",
        )
    )
    starts = [timed(lambda: vm.exec(["true"])) for _ in range(10 * rounds)]
    found.append(
        ("a program from start to end (`true`)", f"{statistics.median(starts) * 1e3:.0f} ms")
    )
    return found


def section(found: list[tuple[str, str]], rounds: int) -> str:
    """The section of RESULTS.md."""
    return f"""## The agent

`python bench/agent.py`, {MIB} MiB, best of {rounds}; times are medians. A Linux guest with one processor that
QEMU emulates (TCG), in which the agent, a Python program, is emulated too.

{rows(("", ""), found)}
"""


def main() -> None:
    options = results.parser(__doc__, 3).parse_args()
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        prefix = built(Path(name), SYSTEM)
        spec = machine.MachineSpec(
            kernel=Path(f"{prefix}-kernel"), initrd=Path(f"{prefix}-initrd.img"),
            cmdline=Path(f"{prefix}-cmdline").read_text().strip(), mem_mib=1024, agent=True,
            accel=Accelerator.TCG, network=machine.Network.NONE,
        )  # fmt: skip
        with machine.launch(spec) as vm:
            vm.wait_ready(readiness.agent(deadline_s=BOOT_S))
            text = section(measured(vm, Path(name), options.rounds), options.rounds)
    results.show("agent", text, write=options.write)


if __name__ == "__main__":
    main()
