"""A system that says hello, built and run from Python: what `sampan build` and `run` do.

    python examples/machine/hello.py

Uses the cache that the command line uses (`~/.cache/sampan`), and a folder that goes away.
"""

import os
import tempfile
from pathlib import Path

from sampan import machine, spec
from sampan.image.build import build
from sampan.image.output import Output
from sampan.oci.layout import Cache
from sampan.oci.model import Platform

SYSTEM = Path(__file__).parents[1] / "systems" / "hello.yml"
CACHE = Path(os.environ.get("SAMPAN_CACHE", Path.home() / ".cache" / "sampan"))


def main():
    system = spec.load([spec.Source.file(SYSTEM)])
    with tempfile.TemporaryDirectory(prefix="sampan-example-") as name:
        folder = Path(name)
        built = build(
            system,
            cache=Cache(CACHE),
            platform=Platform.host(),
            output=Output(folder, "hello"),
        )
        kernel, initrd, cmdline = built.outputs
        wanted = machine.MachineSpec(
            kernel=kernel, initrd=initrd, cmdline=cmdline.read_text(), mem_mib=256
        )
        with machine.launch(wanted) as vm:
            vm.console.expect("Hello from a container", timeout_s=120)
            end = vm.wait(timeout_s=60)
    print(f"the machine said hello and {end.ending}")
    return 0 if end.clean else 1


if __name__ == "__main__":
    raise SystemExit(main())
