"""Machines that act out scripts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sampan import machine
from sampan.machine.model import Accelerator


@pytest.fixture
def scripted(fake_qemu: Path, tmp_path: Path) -> Callable[..., machine.MachineSpec]:
    """Makes the spec of a machine that acts out the given steps (see fake_qemu.py)."""

    def spec(*steps: str, **fields: object) -> machine.MachineSpec:
        kernel = tmp_path / "script"
        kernel.write_text("\n".join(steps))
        return machine.MachineSpec(kernel=kernel, **{"accel": Accelerator.TCG, **fields})  # type: ignore[arg-type]

    return spec


@pytest.fixture
def options(runtime_root: Path) -> machine.LaunchOptions:
    return machine.LaunchOptions(runtime_root=runtime_root)
