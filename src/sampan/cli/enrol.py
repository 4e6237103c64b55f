"""The flags of `sampan run` that say what a machine is called and where it is kept; its enrolment.

A machine that has a name of its own, files to keep, or no terminal stays known when it has ended.
Any other one is known while it runs, and after a crash. Where nothing can be written those run
all the same, unknown to other commands.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from sampan.base import log
from sampan.cli import flag, target
from sampan.cli.settings import Settings
from sampan.errors import SampanError, UsageError

if TYPE_CHECKING:
    from sampan.machine.model import MachineSpec
    from sampan.machine.registry.claim import Claim, Wish

_log = log.get(__name__)


class Flags(NamedTuple):
    """What those flags said."""

    name: str | None = None
    state: Path | None = None
    detached: bool = False

    @property
    def insist(self) -> bool:
        """Whether the machine has to be known to other commands."""
        return self.detached or self.name is not None or self.state is not None


options = flag.gathered(
    "enrolment", Flags,
    click.option(
        "--name", metavar="NAME",
        help="What the machine is called, if no other one is.  [default: as PATH, with a number "
        "if need be]",
    ),
    click.option(
        "--state", metavar="DIR", type=click.Path(file_okay=False, path_type=Path),
        help="Where its files are kept.  [default: PATH-state if it has any, else with those of "
        "all machines]",
    ),
    click.option(
        "-d", "--detached", is_flag=True,
        help="Run it in the background; this command ends when the machine runs.",
    ),
)  # fmt: skip
"""Gives a command these flags, as one argument `enrolment`."""


@contextmanager
def enrolled(
    settings: Settings, flags: Flags, spec: MachineSpec, *, keeps: Path | None, runtime_root: Path
) -> Iterator[Claim | None]:
    """The place of a machine in the store while it runs; None if it does without.

    `keeps` is the folder of its files, if it has any and `--state` does not say another.

    Raises:
        SampanError: there is no place for it.
    """
    from sampan.machine.registry.claim import Wish

    folder = flags.state or keeps
    wish = Wish(
        name=flags.name or spec.name,
        exact=flags.name is not None,
        folder=None if folder is None else folder.absolute(),
        words=settings.words,
        cwd=Path.cwd(),
        keep=flags.insist,
        runtime_root=runtime_root,
    )
    with ExitStack() as stack:
        yield _claimed(stack, spec, wish, insist=flags.insist or folder is not None)


def _claimed(stack: ExitStack, spec: MachineSpec, wish: Wish, *, insist: bool) -> Claim | None:
    machines = target.store()
    try:
        return stack.enter_context(machines.claim(spec, wish))
    except OSError as error:
        if insist:
            raise SampanError(
                f"the machine cannot be kept in {error.filename or wish.folder or machines.root}: "
                f"{error.strerror or error}",
                hint="choose another place: SAMPAN_STATE_DIR, or --state for this machine",
            ) from error
        _log.warning("other commands cannot reach this machine: %s", error)
    except UsageError as error:
        if insist:
            raise
        _log.warning("other commands cannot reach this machine: %s", error)
    return None


@contextmanager
def keeping(claim: Claim | None) -> Iterator[None]:
    """What is new in the machine's folder after the block is the machine's own."""
    if claim is None:
        yield
        return
    before = _entries(claim.folder)
    try:
        yield
    finally:
        claim.keep(*sorted(_entries(claim.folder) - before))


def _entries(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}
