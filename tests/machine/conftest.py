"""A QEMU that acts out scripts, and short runtime folders."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sampan import machine
from sampan.machine.model import Accelerator

FAKE = Path(__file__).with_name("fake_qemu.py")


@pytest.fixture
def runtime_root() -> Iterator[Path]:
    """A runtime root of its own; tmp_path is too long for sockets."""
    root = Path(tempfile.mkdtemp(prefix="sampan-test-", dir="/tmp"))
    yield root
    shutil.rmtree(root)


@pytest.fixture
def fake_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, first on PATH, where every qemu-system-… is the fake one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("qemu-system-x86_64", "qemu-system-aarch64"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{FAKE}" "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_QEMU", str(folder))
    return folder


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
