"""A program and a file in a machine, from Python: what `sampan exec` and `sampan cp` do.

    python examples/machine/exec.py

Uses the cache that the command line uses (`~/.cache/sampan`), and a folder that goes away.
"""

import os
import tempfile
from pathlib import Path

from sampan import machine, spec
from sampan.image.build import build
from sampan.image.output import Output
from sampan.machine.view import readiness
from sampan.oci.layout import Cache
from sampan.oci.model import Platform

SYSTEM = Path(__file__).parents[1] / "systems" / "exec.yml"
CACHE = Path(os.environ.get("SAMPAN_CACHE", Path.home() / ".cache" / "sampan"))


def main():
    system = spec.load([spec.Source.file(SYSTEM)])
    with tempfile.TemporaryDirectory(prefix="sampan-example-") as name:
        folder = Path(name)
        built = build(
            system, cache=Cache(CACHE), platform=Platform.host(), output=Output(folder, "exec")
        )
        kernel, initrd, cmdline = built.outputs
        wanted = machine.MachineSpec(
            kernel=kernel,
            initrd=initrd,
            cmdline=cmdline.read_text(),
            mem_mib=256,
            agent=True,
        )
        with machine.launch(wanted) as vm:
            vm.wait_ready(readiness.agent(deadline_s=120))
            vm.copy_to(SYSTEM, "/tmp/itself.yml")
            lines = vm.exec(["wc", "-l", "/tmp/itself.yml"], check=True, timeout_s=60).text
            release = vm.exec(["uname", "-r"], check=True, timeout_s=60)
    print(f"Linux {release.text} said so within {release.duration_s:.2f} s, and counted {lines}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
