"""The flags of `sampan run` that give a machine devices: disks, metadata, and QEMU's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from sampan.cli import flag
from sampan.cli.metadata import given_data
from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.machine.device import Disk, DiskFormat
    from sampan.machine.model import MachineSpec

STATE_SUFFIX = "-state"
DATA_DISC = "data.iso"
CONSOLE_FILE = "console.log"


class Flags(NamedTuple):
    """What those flags said."""

    disk: tuple[str, ...] = ()
    data: str | None = None
    data_file: Path | None = None
    device: tuple[str, ...] = ()
    gui: bool = False
    usb: bool = False
    console: Path | None = None
    console_file: bool = False


options = flag.gathered(
    "devices", Flags,
    click.option(
        "--disk", multiple=True, metavar="[FILE][,size=SIZE][,format=raw|qcow2]",
        help="A disk, made if missing, grown to SIZE (1G; a bare number counts G); repeat for "
        "more. Without FILE it is kept in PATH-state. New ones are qcow2, on a Mac raw.",
    ),
    click.option(
        "--data", metavar="TEXT", help="Metadata for the guest, on a disc (see sampan/metadata).",
    ),
    click.option(
        "--data-file", metavar="FILE", type=click.Path(path_type=Path),
        help="Metadata for the guest, from FILE.",
    ),
    click.option(
        "--device", multiple=True, metavar="WORDS",
        help="Passed to QEMU as its -device; repeat for more.",
    ),
    click.option("--gui", is_flag=True, help="Open a window with the machine's screen."),
    click.option("--usb", is_flag=True, help="Give the machine a USB controller."),
    click.option(
        "--console", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
        help="Write the console to FILE, which may be a named pipe, instead of here.",
    ),
    click.option(
        "--console-file", is_flag=True, help=f"Write the console to PATH-state/{CONSOLE_FILE}.",
    ),
)  # fmt: skip
"""Gives a command these flags, as one argument `devices`."""


def state_folder(path: Path) -> Path:
    """Where what a system keeps is, unless it is said otherwise: beside it, as LinuxKit has it."""
    return path.with_name(path.name + STATE_SUFFIX)


def own_disks(flags: Flags) -> tuple[str, ...]:
    """The names, in the state folder, of the disks that nobody named."""
    from sampan.machine.storage import disk

    wanted = enumerate(map(disk.parse, flags.disk))
    return tuple(disk.default_name(number) for number, each in wanted if each.path is None)


def keeps_files(flags: Flags) -> bool:
    """Whether something of the machine is kept in its state folder."""
    return (
        flags.data is not None
        or flags.data_file is not None
        or flags.console_file
        or bool(own_disks(flags))
    )


def planned(
    spec: MachineSpec, flags: Flags, state: Path, new_disks: DiskFormat | None = None
) -> MachineSpec:
    """What `equip` would give; nothing is made.

    Raises:
        UsageError: a flag makes no sense.
        DiskError: a file is no disk.
    """
    from sampan.machine.device import DiskFormat
    from sampan.machine.storage import disk

    wanted = [disk.parse(text) for text in flags.disk]
    has_data = flags.data is not None or flags.data_file is not None
    return _equipped(
        spec, flags,
        disk.planned(wanted, state, new_format=new_disks or DiskFormat.QCOW2),
        ((state / DATA_DISC).absolute(),) if has_data else (),
    )  # fmt: skip


def check_made(planned: MachineSpec, flags: Flags) -> None:
    """Refuse to write down a machine that has what `equip` would have to make first.

    Raises:
        UsageError: it has.
    """
    missing = [f"the disk {each.path}" for each in planned.disks if not each.path.exists()]
    if flags.data is not None or flags.data_file is not None:
        missing.append("a disc with --data")
    if missing:
        raise UsageError(
            f"a document of a machine can name files that are there only, not {missing[0]}",
            hint="leave that flag away, and say it when the document is run",
        )


def equip(
    spec: MachineSpec, flags: Flags, state: Path, new_disks: DiskFormat | None = None
) -> MachineSpec:
    """The machine with what the flags ask for; `state` is made if something has to be kept.

    `new_disks` is how disks that are made are kept, if nobody says; None: as qcow2.

    Raises:
        UsageError: a flag makes no sense.
        DiskError: a disk cannot be used.
        ToolMissingError: a tool for disks is not installed.
    """
    from sampan.machine.device import DiskFormat
    from sampan.machine.storage import disk, metadata

    wanted = [disk.parse(text) for text in flags.disk]
    data = given_data(flags.data, flags.data_file)
    discs: tuple[Path, ...] = ()
    if data is not None:
        disc = metadata.disc(data)
        _make(state)
        metadata.write(state / DATA_DISC, disc)
        discs = ((state / DATA_DISC).absolute(),)
    new_format = new_disks or DiskFormat.QCOW2
    return _equipped(spec, flags, disk.prepare_all(wanted, state, new_format=new_format), discs)


def _equipped(
    spec: MachineSpec, flags: Flags, disks: tuple[Disk, ...], discs: tuple[Path, ...]
) -> MachineSpec:
    from msgspec.structs import replace

    return replace(
        spec,
        disks=(*spec.disks, *disks),
        discs=(*spec.discs, *discs),
        display=spec.display or flags.gui,
        usb=spec.usb or flags.usb,
        devices=(*spec.devices, *flags.device),
    )


def console_path(flags: Flags, state: Path) -> Path | None:
    """The file that the console is to go to; None: none.

    Raises:
        UsageError: there are two.
    """
    if flags.console and flags.console_file:
        raise UsageError(
            "the console can go to one file only", hint="say --console or --console-file"
        )
    path = state / CONSOLE_FILE if flags.console_file else flags.console
    return None if path is None else path.absolute()


@contextmanager
def console_output(path: Path | None, *, make_folder: bool = False) -> Iterator[int | None]:
    """A descriptor for the console, if it is to go into a file; a pipe waits for its reader.

    Raises:
        UsageError: the file cannot be written.
    """
    if path is None:
        yield None
        return
    if make_folder:
        _make(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UsageError(f"cannot write the console to {path}: {error.strerror}") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _make(state: Path) -> None:
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the state folder {state}: {error.strerror}") from error
