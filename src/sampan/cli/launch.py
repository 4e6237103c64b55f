"""What commands that run a machine have in common: its console here or in a file, and its end."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.cli import backend, detach, networking, report
from sampan.cli.settings import Settings
from sampan.errors import ExitCode

if TYPE_CHECKING:
    from sampan.desktop import session
    from sampan.desktop.setup import Setup
    from sampan.machine.model import MachineSpec
    from sampan.machine.registry.claim import Claim


def runtime_folder(environment: Mapping[str, str]) -> Path | None:
    """Where sockets live: `SAMPAN_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/sampan`, else None."""
    if own := environment.get("SAMPAN_RUNTIME_DIR"):
        return Path(own).absolute()
    base = Path(environment.get("XDG_RUNTIME_DIR", ""))
    return base / "sampan" if base.is_absolute() and base.is_dir() else None


def attended(
    settings: Settings,
    spec: MachineSpec,
    how: Setup,
    claim: Claim | None,
    child: detach.Detached | None,
    console: int | None,
) -> ExitCode:
    """Run a machine until it ends, in the background for `child`, and say how it did.

    `console` is a descriptor for its console, if it goes into a file.

    Raises:
        SampanError: as `session.run`, or it did not end well.
    """
    from sampan.desktop import session
    from sampan.machine.state import runtime_root

    sockets = runtime_folder(os.environ)
    chosen = backend.Backend(how.driver)
    options = session.Options(
        stdio=stdio(console, is_detached=child is not None),
        network=networking.here(how.network, sockets),
        runtime_root=runtime_root(sockets),
        power_off_deadline_s=how.power_off_deadline_s,
        claim=claim,
        driver=backend.driver(chosen, virtiofsd=how.virtiofsd, state=how.state),
    )
    says = report.reporter(settings, spec.name)
    outcome = session.run(spec, options, letting_go(says, child, claim))
    return status(outcome, how.power_off_deadline_s)


def stdio(file: int | None, *, is_detached: bool) -> session.Stdio:
    """Where the console of a machine goes: to `file`, nowhere if it is detached, or here."""
    from sampan.desktop import session

    if file is None and is_detached:  # its console is in its transcript, and for `sampan console`
        file = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    if file is not None:
        return session.Stdio(output=file, keyboard=None, plain=True)
    output = 1
    is_terminal = os.isatty(output)
    keyboard = 0 if is_terminal and os.isatty(0) else None
    return session.Stdio(output=output, keyboard=keyboard, plain=not is_terminal)


def letting_go(
    says: Callable[[session.Event], None], child: detach.Detached | None, claim: Claim | None
) -> Callable[[session.Event], None]:
    """`says`, and let go of the terminal, if we are to, when the machine runs."""
    from sampan.desktop import session
    from sampan.machine.registry import place as files

    if child is None or claim is None:
        return says

    def reported(event: session.Event) -> None:
        says(event)
        if isinstance(event, session.Started):
            child.ready(claim.name, claim.folder / files.SUPERVISOR_LOG)

    return reported


def status(outcome: session.Outcome, stop_timeout_s: float) -> ExitCode:
    """The exit status of a session.

    Raises:
        SampanError: the machine did not end well.
    """
    from sampan.desktop.session import Cause
    from sampan.machine.error import MachineError
    from sampan.machine.model import Ending

    end = outcome.end
    if end.ending in (Ending.PANICKED, Ending.DIED):
        raise MachineError(end.detail)
    if outcome.cause is Cause.INTERRUPT:
        return ExitCode.INTERRUPTED
    if end.ending is Ending.FORCED and outcome.cause is Cause.COMMAND:
        raise MachineError("the machine was ended by another command: sampan stop, kill or rm")
    if end.ending is Ending.FORCED and outcome.cause is Cause.SIGNAL:
        raise MachineError(
            f"the guest did not power off within {stop_timeout_s:g} s, and was ended",
            hint="does it run something that listens to the power button, such as acpid?",
        )
    return ExitCode.DONE
