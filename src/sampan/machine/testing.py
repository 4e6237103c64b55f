r"""For unit tests of code that uses machines: machines that act out scripts, without a hypervisor.

For instance::

    from sampan import machine
    from sampan.machine.testing import Await, FakeDriver, Finish, Say, Script, spec

    def test_logs_in_and_waits_for_the_end():
        driver = FakeDriver(Script(steps=(Say("login:"), Await("root\r"), Finish())))
        with machine.launch(spec(), machine.LaunchOptions(driver=driver)) as vm:
            my_code_that_logs_in(vm)
            assert vm.wait(timeout_s=5).clean
        assert driver.machines[0].typed == "root\r"

Everything of a machine is there: console, events, readiness, pause, power button, end. Steps
are values of `sampan.machine.drivers.fake`, which says what such a machine cannot show.
"""

from __future__ import annotations

from pathlib import Path

from sampan.machine.drivers.fake import (
    Await,
    AwaitButton,
    FakeDriver,
    FakeMachine,
    Finish,
    Notice,
    Reset,
    Say,
    Script,
    Sleep,
    Step,
)
from sampan.machine.model import MachineSpec

__all__ = [
    "Await",
    "AwaitButton",
    "FakeDriver",
    "FakeMachine",
    "Finish",
    "Notice",
    "Reset",
    "Say",
    "Script",
    "Sleep",
    "Step",
    "spec",
]


def spec(**fields: object) -> MachineSpec:
    """A spec to give to a `FakeDriver`; its kernel is a file that is there, and no kernel."""
    return MachineSpec(**{"kernel": Path(__file__), **fields})  # type: ignore[arg-type]
