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
def counting_kernel(tmp_path: Path) -> Path:
    """A kernel that prints `R`, then after each character that is typed the character and a count.

    Its state is a register. Made like the one of drivers/test_qemu.py; its code is:
    """
    code = bytes.fromhex(
        "baf803 b052 ee b00a ee"  # put out R and a newline
        "b330"  # the count, as a digit
        "bafd03 ec a801 74f8 baf803 ec ee"  # wait for a character, put it out
        "fec3 88d8 ee b00a ee ebe9"  # count, put the count and a newline out; again
    )
    sector, setup = bytearray(512), bytearray(512)
    sector[0x1F1] = 1
    setup[0:2] = b"\xeb\x7e"  # jump over the header
    setup[2:8] = b"HdrS\x03\x02"  # protocol 2.03
    setup[0x11] = 1  # loaded high
    setup[0x80 : 0x80 + len(code)] = code
    path = tmp_path / "counting-kernel"
    path.write_bytes(bytes(sector) + bytes(setup) + bytes(512))
    return path


@pytest.fixture
def options(runtime_root: Path) -> machine.LaunchOptions:
    return machine.LaunchOptions(runtime_root=runtime_root)
