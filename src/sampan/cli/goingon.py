"""Machines that go on in the background from where they were saved, instead of booting."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.cli import detach, report, target
from sampan.cli.launch import runtime_folder
from sampan.cli.settings import Settings
from sampan.errors import ExitCode, SampanError

if TYPE_CHECKING:
    from sampan.desktop import network
    from sampan.machine.model import MachineSpec
    from sampan.machine.registry.claim import Claim
    from sampan.machine.registry.record import Made


class FailedError(SampanError):
    """A machine did not go on; the process that tried has said why."""


def start(words: Sequence[str], failed: str = "the machine did not go on") -> str:
    """Let `sampan` with `words`, which calls `run_here`, run a machine in the background; its name.

    Raises:
        FailedError: it did not start; `failed` says so.
    """
    started = detach.start(words)
    if not started.name:
        error = FailedError(failed)
        error.exit_code = ExitCode(started.status)  # type: ignore[misc]  # of this one
        raise error
    return started.name


def run_here(
    settings: Settings, child: detach.Detached, origin: Path, spec: MachineSpec,
    wired: network.Options, *, made: Made | None = None,
    began: Callable[[Path], None] = lambda _: None,
    equip: Callable[[Claim], MachineSpec] | None = None,
) -> None:  # fmt: skip
    """Be the process that runs the machine saved in `origin`.

    `equip` may change the spec once the machine has a folder; `began` is called with that folder.
    """
    from sampan.desktop import session, setup
    from sampan.machine.registry import place
    from sampan.machine.registry.claim import Wish
    from sampan.machine.state import runtime_root

    root = runtime_root(runtime_folder(os.environ))
    wish = Wish(
        name=spec.name, exact=True, resumes=True, runtime_root=root,
        words=() if made is None else made.words, cwd=None if made is None else made.cwd,
    )  # fmt: skip
    says = report.reporter(settings, spec.name)
    with target.store().claim(spec, wish) as claim, Path(os.devnull).open("wb") as nowhere:
        if equip is not None:
            spec = equip(claim)
            claim.describe(spec)
        if setup.read(claim.folder) is None:
            setup.write(claim.folder, setup.Setup(network=wired))

        def reported(event: session.Event) -> None:
            says(event)
            if isinstance(event, session.Started):
                began(claim.folder)
                child.ready(claim.name, claim.folder / place.SUPERVISOR_LOG)

        stdio = session.Stdio(output=nowhere.fileno(), keyboard=None, plain=True)
        options = session.Options(
            stdio=stdio, network=wired, runtime_root=root, claim=claim, origin=origin
        )
        session.run(spec, options, reported)
