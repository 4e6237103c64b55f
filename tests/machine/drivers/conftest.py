"""Programs that stand in for hypervisors of macOS, and their grammars."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from sampan import machine

FOLDER = Path(__file__).parents[1]


def _module(name):
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def vfkit_grammar():
    """What vfkit would understand of words, as its JSON; see fake_vfkit.py."""
    return _module("fake_vfkit")


@pytest.fixture(scope="session")
def hyperkit_grammar():
    """What HyperKit would understand of words; see fake_hyperkit.py."""
    return _module("fake_hyperkit")


@pytest.fixture
def acted_by(tmp_path, monkeypatch, runtime_root):
    """Puts a fake program first on PATH; gives a maker of specs that act out steps."""

    def install(name):
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        program = folder / name
        script = FOLDER / f"fake_{name}.py"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{script}" "$@"\n')
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("FAKE_FOLDER", str(tmp_path))

        def spec(*steps, **fields):
            kernel = tmp_path / "script"
            kernel.write_text("\n".join(steps))
            arch = machine.accel.host_arch() or machine.Arch.AMD64
            return machine.MachineSpec(
                kernel=kernel, **{"network": machine.Network.NONE, "arch": arch, **fields}
            )

        return spec

    return install
