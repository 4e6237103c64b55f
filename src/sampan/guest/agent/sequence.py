"""Containers that run one after another: onboot, and onshutdown.

What each printed goes to its log and to the console, as LinuxKit's users expect; a failure is
one clear line more. A container marked `onfailure: stop` ends the sequence when it fails.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from sampan.guest.agent import bundle as bundles
from sampan.guest.agent import container, kernel, log, process
from sampan.guest.agent.fault import AgentError

STOPPED = 100  # the exit status that tells rc.init to stop the boot
LOGS = "/run/log"
STATE = "/run/sampan"
_SHOWN_LINES = 200  # of a container's log, on the console


class Settings:
    """What the kernel's command line says: `linuxkit.runc_debug`, `linuxkit.runc_console`."""

    __slots__ = ("console", "debug")

    def __init__(self, *, debug: bool = False, console: bool = False) -> None:
        self.debug = debug
        self.console = console

    @staticmethod
    def parse(command_line: str) -> Settings:
        """The settings in the text of `/proc/cmdline`."""
        words = command_line.split()
        return Settings(
            debug="linuxkit.runc_debug=1" in words, console="linuxkit.runc_console=1" in words
        )


class Outcome:
    """How a container of the sequence ended. `fault` is None when it went well."""

    __slots__ = ("fault", "label", "stops")

    def __init__(self, label: str, fault: str | None, stops: bool) -> None:
        self.label = label
        self.fault = fault
        self.stops = stops


def run_section(section: str, settings: Settings) -> int:
    """Run every container of `onboot` or `onshutdown`; the program's exit status.

    0 when all went well, 1 after a failure, `STOPPED` when a failed one may stop the boot.
    """
    paths = bundles.folders(section)
    if not paths:
        return 0
    kernel.become_subreaper()
    status = 0
    for path in paths:
        outcome = _run_one(path, section, settings)
        if outcome.fault is not None:
            status = 1
            print(f"sampan: {section} {outcome.label} FAILED: {outcome.fault}", flush=True)
            if outcome.stops:
                return STOPPED
    return status


def _run_one(path: str, section: str, settings: Settings) -> Outcome:
    label = os.path.basename(path)
    base = f"{LOGS}/{section}/{label}"
    stops = False
    try:
        bundle = bundles.load(path)
        stops = bundle.config.on_failure == "stop"
        if settings.debug:
            print(f"sampan: {section} {label}: starting", flush=True)
        status = _run_logged(bundle, section, settings, base)
        fault = None if status == 0 else process.explain(status)
    except (AgentError, OSError) as error:
        fault = str(error)
    if not settings.console:
        _show(log.tail(f"{base}.out.log", _SHOWN_LINES))
        _show(log.tail(f"{base}.log", _SHOWN_LINES))
    return Outcome(label, fault, stops)


def _run_logged(bundle: bundles.Bundle, section: str, settings: Settings, base: str) -> int:
    tool = container.find_runtime()
    state = f"{STATE}/{section}/{bundle.label}"
    if settings.console:
        return container.run(tool, bundle, state, out=1, err=2, debug=settings.debug)
    out, err = log.open_log(f"{base}.out.log"), log.open_log(f"{base}.log")
    try:
        return container.run(tool, bundle, state, out=out, err=err, debug=settings.debug)
    finally:
        os.close(out)
        os.close(err)


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)
