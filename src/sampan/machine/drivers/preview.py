"""The command line that a driver would run, without running anything.

What exists only while a machine runs is made up: sockets are in the folder that is given, and
descriptors, which QEMU inherits, are counted from 3 on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from itertools import count
from pathlib import Path

from sampan.machine import accel
from sampan.machine.device import ShareKind
from sampan.machine.drivers import hyperkit_argv, qemu_argv, vfkit_argv
from sampan.machine.model import Accelerator, MachineSpec, Network

_KVM = "/dev/kvm"


def command_line(driver: str, spec: MachineSpec, folder: str) -> tuple[str, ...]:
    """The words that the driver called `driver` would run for `spec`, program first.

    Raises:
        UnsupportedError: the driver cannot do that.
        KeyError: there is no such driver.
    """
    return _BUILDERS[driver](spec, folder)


def likely_accelerator(spec: MachineSpec, root: Path) -> Accelerator:
    """The accelerator of a machine: what an earlier run found out here, else what is usual.

    `root` is the runtime folder of all machines. Whether a guest runs on it is not tried.
    """
    if spec.accel is not None:
        return spec.accel
    if spec.arch is not accel.host_arch():
        return Accelerator.TCG
    if (verdict := accel.remembered(spec.arch, root)) is not None:
        return verdict.accel
    if sys.platform == "darwin":
        return Accelerator.HVF
    return Accelerator.KVM if os.access(_KVM, os.R_OK | os.W_OK) else Accelerator.TCG


def _qemu(spec: MachineSpec, folder: str) -> tuple[str, ...]:
    descriptors = count(3)
    served = [each for each in spec.shares if each.kind is ShareKind.VIRTIOFS]
    wiring = qemu_argv.Wiring(
        control_fd=next(descriptors),
        console_fd=next(descriptors),
        link_fd=next(descriptors) if spec.network is Network.STREAM else None,
        link_path=f"{folder}/net",
        agent_fd=next(descriptors) if spec.agent else None,
        share_paths=tuple(f"{folder}/share{number}" for number in range(len(served))),
        vsock_path=f"{folder}/vsock" if spec.vsock else "",
    )
    return qemu_argv.build(spec, accel=likely_accelerator(spec, Path(folder).parent), wiring=wiring)


def _vfkit(spec: MachineSpec, folder: str) -> tuple[str, ...]:
    wiring = vfkit_argv.Wiring(
        control_path=f"{folder}/qmp", link_path=f"{folder}/net", vsock_folder=folder
    )
    return vfkit_argv.build(spec, wiring=wiring)


def _hyperkit(spec: MachineSpec, folder: str) -> tuple[str, ...]:
    wiring = hyperkit_argv.Wiring(
        state_folder=folder, link_path=f"{folder}/net", vsock_folder=folder
    )
    return hyperkit_argv.build(spec, wiring=wiring)


_BUILDERS: dict[str, Callable[[MachineSpec, str], tuple[str, ...]]] = {
    "qemu": _qemu, vfkit_argv.PROGRAM: _vfkit, hyperkit_argv.PROGRAM: _hyperkit,
}  # fmt: skip
