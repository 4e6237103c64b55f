"""`sampan run`."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli import (
    backend,
    detach,
    device,
    enrol,
    hardware,
    launch,
    networking,
    share,
    vsock,
)
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

if TYPE_CHECKING:
    from sampan.cli.backend import Backend
    from sampan.desktop.network import Options
    from sampan.machine.device import DiskFormat
    from sampan.machine.driver import Driver
    from sampan.machine.model import MachineSpec
    from sampan.machine.registry.claim import Claim

_EPILOG = """\b
Examples:
  sampan run web
  sampan run --publish 8080:80 --mem 512 web
  sampan run --share .:/src web
  sampan run qemu web > web.log
  sampan run --detached --name db database; sampan console db
  sampan run --json --dry-run --mem 512 web > web.json; sampan run --spec web.json

On a terminal every key goes to the guest, Ctrl-C too. Ctrl-A x ends the machine, Ctrl-A p
presses its power button, Ctrl-A h shows this, Ctrl-A Ctrl-A sends a Ctrl-A. Otherwise the
output is plain text and nothing is read.

While it runs, `sampan ps`, `console`, `logs`, `stop` and so on reach it by its name, and `sampan net
flows`, `capture`, `expose` and so on its network.

SIGTERM presses the guest's power button and ends the machine after the --stop-timeout; a
second one ends it at once.

Exit status: 0 when the guest powered itself off, or was ended by Ctrl-A x; 1 when it did not, or
the machine did not start; 2 for wrong usage; 3 when the hypervisor is not installed; 130 after an
interrupt. With --detached: 0 when the machine runs.
"""


@click.command("run", epilog=_EPILOG)
@click.argument("words", metavar="[BACKEND] PATH", nargs=-1)
@click.option(
    "--spec", "document", metavar="FILE", type=click.Path(path_type=Path),
    help="Run the machine that FILE describes, in YAML or JSON, instead of PATH.",
)  # fmt: skip
@hardware.options
@networking.options
@click.option(
    "--stop-timeout", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="SECONDS",
    help="How long the guest may take to power off after SIGTERM.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True,
    help="Print the hypervisor's command line instead of running it; with --json the machine, for "
    "--spec.",
)  # fmt: skip
@enrol.options
@device.options
@share.options
@vsock.option
@click.pass_obj
def command(
    settings: Settings,
    words: tuple[str, ...],
    document: Path | None,
    computer: hardware.Flags,
    connected: networking.Flags,
    stop_timeout: float,
    dry_run: bool,
    devices: device.Flags,
    shares: share.Flags,
    vsock_ports: tuple[str, ...],
    enrolment: enrol.Flags,
) -> int:
    """Boot the system built as PATH in a virtual machine, with its console here.

    BACKEND is qemu, or on a Mac vfkit (also: virtualization, virtualization.framework) or
    hyperkit. The drivers of these two were never run on a Mac.
    """
    from sampan.desktop import setup
    from sampan.machine import driver as drivers
    from sampan.machine.state import runtime_root

    child = detach.inherited()
    if enrolment.detached and child is None and not dry_run:
        return _detached(settings)
    chosen, path = backend.split(words, document)
    driver = backend.driver(chosen, virtiofsd=shares.virtiofsd, state=enrolment.state)
    spec = share.shared(_asked(path, document, computer, driver), shares)
    state = enrolment.state or device.state_folder(path)
    asks = connected.guest_forwards != "none"
    spec = vsock.plugged(spec, vsock_ports, state, is_wanted=asks)
    wired = networking.connection(connected, chosen, spec)
    spec = networking.unconnected(spec)
    planned = device.planned(spec, devices, state, chosen.disk_format)
    drivers.check(driver, planned)  # before anything is made for it
    if dry_run:
        _preview(settings, chosen, planned, wired, devices)
        return ExitCode.DONE
    how = setup.Setup(
        driver=chosen.value, network=wired, power_off_deadline_s=stop_timeout,
        virtiofsd=shares.virtiofsd, state=_absolute(enrolment.state),
        console=device.console_path(devices, state),
    )  # fmt: skip
    keeps = state if device.keeps_files(devices) or vsock_ports else None
    root = runtime_root(launch.runtime_folder(os.environ))
    with ExitStack() as stack:
        claim = stack.enter_context(
            enrol.enrolled(settings, enrolment, spec, keeps=keeps, runtime_root=root)
        )
        spec = _equipped(spec, devices, state, claim, chosen.disk_format)
        if claim is not None:
            setup.write(claim.folder, how)
        with enrol.keeping(claim):
            console = stack.enter_context(
                device.console_output(how.console, make_folder=devices.console_file)
            )
        return launch.attended(settings, spec, how, claim, child, console)


def _asked(
    path: Path, document: Path | None, computer: hardware.Flags, driver: Driver
) -> MachineSpec:
    """The machine that boots the system `path`, or that of a document, with the flags on top."""
    from msgspec.structs import replace

    from sampan.desktop import bundle
    from sampan.machine import document as documents
    from sampan.machine.model import MachineSpec

    if document is None:
        return hardware.machine(bundle.find(path), path.name, computer, driver)
    spec = hardware.altered(documents.load(document), computer)
    is_nameless = spec.name == MachineSpec(kernel=spec.kernel).name
    return replace(spec, name=path.name) if is_nameless else spec


def _preview(
    settings: Settings, chosen: Backend, spec: MachineSpec, wired: Options, devices: device.Flags
) -> None:
    from sampan.machine import document

    if not settings.json:
        click.echo(backend.preview(chosen, spec, wired, launch.runtime_folder(os.environ)))
        return
    device.check_made(spec, devices)
    found = networking.described(document.rooted(spec), wired)
    click.echo(document.to_json(found), nl=False)


def _equipped(
    spec: MachineSpec,
    devices: device.Flags,
    state: Path,
    claim: Claim | None,
    new_disks: DiskFormat,
) -> MachineSpec:
    """The machine by the name it got, with its devices, written down in its place."""
    from msgspec.structs import replace

    if claim is None:
        return device.equip(spec, devices, state, new_disks)
    with enrol.keeping(claim):
        spec = device.equip(replace(spec, name=claim.name), devices, state, new_disks)
    claim.describe(spec)
    claim.keep_disks(*device.own_disks(devices))
    return spec


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else path.absolute()


def _detached(settings: Settings) -> int:
    started = detach.start(settings.words)
    if started.name:
        click.echo(started.name)
    return started.status
