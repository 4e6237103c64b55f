"""How a machine with a name is run, as opposed to what it is: `setup.json` in its folder.

`machine.json` beside it says what the machine is. With both, it can be run again as it was, by
another command and another day (`sampan start`).
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from sampan.desktop import network
from sampan.machine.lifecycle import POWER_OFF_DEADLINE_S
from sampan.machine.registry import place

VERSION = 1


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How a machine is run.

    Attributes:
        version: of this form.
        driver: what the driver is called.
        network: how it is connected.
        power_off_deadline_s: how long its guest may take to power off.
        virtiofsd: the program that serves its shares; None: what is installed.
        state: where HyperKit's users look for files; None: nowhere.
        console: the file that its console goes to; None: none.
    """

    version: int = VERSION
    driver: str = "qemu"
    network: network.Options = network.Options()
    power_off_deadline_s: float = POWER_OFF_DEADLINE_S
    virtiofsd: Path | None = None
    state: Path | None = None
    console: Path | None = None


def write(folder: Path, setup: Setup) -> None:
    """Replace the setup of the machine with that folder.

    Raises:
        UsageError: a path in it is not UTF-8.
        OSError: the disk is full, …
    """
    place.write(folder / place.SETUP, setup)


def read(folder: Path) -> Setup | None:
    """The setup of the machine with that folder; None if none was written.

    Raises:
        SampanError: it cannot be read, or is of a later version.
    """
    return place.read(folder / place.SETUP, Setup, VERSION)
