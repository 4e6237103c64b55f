"""The kernels of a few instructions, on the QEMU that is installed."""

import pytest

from sampan.base import proc
from sampan.machine import Arch, selftest
from sampan.machine.drivers.qemu import QemuDriver
from sampan.machine.drivers.qemu_argv import program

pytestmark = pytest.mark.compat


@pytest.mark.parametrize("arch", list(Arch))
def test_qemu_runs_them(arch, runtime_root):
    if not proc.has_tool(program(arch)):
        pytest.skip(f"needs {program(arch)}")
    result = selftest.run(QemuDriver(), arch, runtime_root=runtime_root)
    assert (result.works, result.detail, result.end) == (True, "", "powered-off")
