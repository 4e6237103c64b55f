"""The flags of `sampan run` that share folders of the host."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from sampan.cli import flag

if TYPE_CHECKING:
    from sampan.machine.model import MachineSpec


class Flags(NamedTuple):
    """What those flags said."""

    share: tuple[str, ...] = ()
    virtiofs: tuple[str, ...] = ()
    virtiofsd: Path | None = None


options = flag.gathered(
    "shares", Flags,
    click.option(
        "--share", multiple=True, metavar="HOST:GUEST[:WORDS]",
        help="Mount the folder HOST of this computer at GUEST. WORDS, with commas between: ro: the "
        "guest cannot write; events: watchers in the guest hear what the host does; owners=host "
        "or owners=attributes: where it is kept whose files are; 9p: not by virtiofs. Repeat for "
        "more.",
    ),
    click.option(
        "--virtiofs", multiple=True, metavar="DIR",
        help="Share DIR by virtiofs with the tag virtiofs0, virtiofs1 …, for a guest that mounts "
        "it itself.",
    ),
    click.option(
        "--virtiofsd", metavar="FILE", type=click.Path(dir_okay=False, path_type=Path),
        help="Serve virtiofs by this program (virtiofsd: the one that is installed), which knows "
        "neither events nor owners.  [default: Sampan does]",
    ),
)  # fmt: skip
"""Gives a command these flags, as one argument `shares`."""


def shared(spec: MachineSpec, flags: Flags) -> MachineSpec:
    """The machine with the shares that the flags ask for.

    Raises:
        UsageError: a flag makes no sense, or what it names cannot be shared.
    """
    from msgspec.structs import replace

    from sampan.machine.sharing import share

    shares = (*spec.shares, *share.parse(flags.share), *share.tagged(flags.virtiofs))
    share.check(shares)
    return replace(spec, shares=shares)
