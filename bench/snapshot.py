"""What it takes to save a machine, go on with it, put it back and clone it, beside booting it.

    .venv/bin/python bench/snapshot.py [--rounds N] [--write]

The machine is examples/systems/exec.yml on QEMU's user networking; ready means that its agent
answers a call.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import results
from net_guest import built
from results import rows

from sampan.desktop import bundle
from sampan.machine import VM, Accelerator, LaunchOptions, MachineSpec
from sampan.machine.saving.clone import clones
from sampan.machine.view import readiness

ROOT = Path(__file__).parents[1]
MIB = 256
CLONES = 10
ORDER = (
    "boot", "snapshot", "restore (each test with the fixture `vm`)", "suspend", "resume",
    f"clone of {CLONES}", "relocate", "standing still while relocated",
)  # fmt: skip


class Stopwatch:
    """Collects seconds, by what was done."""

    def __init__(self) -> None:
        self.ran: dict[str, list[float]] = defaultdict(list)
        self.answered: dict[str, list[float]] = defaultdict(list)

    def __call__(self, what: str, begin_s: float, vm_s: float | None = None) -> None:
        """The machine ran at `vm_s` (now, if that is all), and answers now."""
        now_s = time.perf_counter()
        self.ran[what].append((vm_s or now_s) - begin_s)
        if vm_s is not None:
            self.answered[what].append(now_s - begin_s)


async def measured(spec: MachineSpec, folder: Path, watch: Stopwatch) -> int:
    """One round; the size of the memory that is kept, in bytes."""
    clock = time.perf_counter
    begin_s = clock()
    async with VM.launch(spec) as vm:
        ran_s = clock()
        await vm.wait_ready(readiness.agent(deadline_s=120))
        watch("boot", begin_s, ran_s)
        begin_s = clock()
        saved = await vm.snapshot(folder / "s")
        watch("snapshot", begin_s)
        for _ in range(3):
            begin_s = clock()
            await vm.restore(folder / "s")
            ran_s = clock()
            await vm.exec(["true"])
            watch(ORDER[2], begin_s, ran_s)
        begin_s = clock()
        watch.ran[ORDER[7]].append(await vm.relocate())
        watch("relocate", begin_s)
        begin_s = clock()
        await vm.suspend(folder / "u")
        watch("suspend", begin_s)
    begin_s = clock()
    async with VM.resume_from(folder / "u", LaunchOptions()) as vm:
        ran_s = clock()
        await vm.exec(["true"])
        watch("resume", begin_s, ran_s)
    begin_s = clock()
    async with clones(folder / "s", CLONES, folder):
        watch(ORDER[5], begin_s)
    return saved.memory.size_bytes


def section(watch: Stopwatch, size_bytes: int, rounds: int) -> str:
    """The section of RESULTS.md."""

    def shown(values: list[float]) -> str:
        return f"{statistics.median(values):.2f} s" if values else ""

    found = [(what, shown(watch.ran[what]), shown(watch.answered[what])) for what in ORDER]
    return f"""## Suspend, snapshots, clones

`python bench/snapshot.py`, medians of {rounds} rounds. A Linux guest with {MIB} MiB and one processor that QEMU
emulates (TCG), on a computer with two; what is kept of it are {size_bytes >> 20} MiB. It *runs* when its
processors do; it *answers* when a program was run in it by the agent. Clones count until each has its identity.

{rows(("", "runs", "answers"), found)}
"""


def main() -> None:
    options = results.parser(__doc__, 3).parse_args()
    watch, size_bytes = Stopwatch(), 0
    with tempfile.TemporaryDirectory(prefix="sampan-bench-") as name:
        prefix = built(Path(name), ROOT / "examples/systems/exec.yml")
        spec = bundle.spec(prefix, agent=True, mem_mib=MIB, accel=Accelerator.TCG)
        for _ in range(options.rounds):
            size_bytes = asyncio.run(measured(spec, Path(name), watch))
    text = section(watch, size_bytes, options.rounds)
    results.show("snapshots", text, write=options.write)


if __name__ == "__main__":
    main()
