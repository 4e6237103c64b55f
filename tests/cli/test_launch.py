"""What is left of `launch` when tests of run, start and others have used it."""

import os
from pathlib import Path

import pytest

from sampan.cli import launch
from sampan.desktop.session import Cause, Outcome
from sampan.errors import ExitCode
from sampan.machine.error import MachineError
from sampan.machine.model import End, Ending


def test_runtime_folder(tmp_path):
    assert launch.runtime_folder({}) is None
    assert launch.runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)}) == tmp_path / "sampan"
    assert launch.runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path / "gone")}) is None
    assert launch.runtime_folder({"SAMPAN_RUNTIME_DIR": "here"}) == Path("here").absolute()


def test_where_the_console_goes():
    nowhere = launch.stdio(None, is_detached=True)
    try:
        assert (nowhere.keyboard, nowhere.plain) == (None, True)
        assert os.fstat(nowhere.output).st_rdev == Path(os.devnull).stat().st_rdev
    finally:
        os.close(nowhere.output)
    assert launch.stdio(7, is_detached=False).output == 7
    assert launch.stdio(None, is_detached=False).output == 1


@pytest.mark.parametrize(
    ("ending", "cause", "status"),
    [
        (Ending.POWERED_OFF, Cause.GUEST, ExitCode.DONE),
        (Ending.POWERED_OFF, Cause.INTERRUPT, ExitCode.INTERRUPTED),
        (Ending.FORCED, Cause.USER, ExitCode.DONE),
        (Ending.SUSPENDED, Cause.COMMAND, ExitCode.DONE),
    ],
)
def test_ends_that_are_no_errors(ending, cause, status):
    assert launch.status(Outcome(End(ending=ending), cause), 30) is status


@pytest.mark.parametrize(
    ("ending", "cause", "message"),
    [
        (Ending.PANICKED, Cause.GUEST, "why"),
        (Ending.DIED, Cause.USER, "why"),
        (Ending.FORCED, Cause.COMMAND, "by another command"),
        (Ending.FORCED, Cause.SIGNAL, "did not power off within 30 s"),
    ],
)
def test_ends_that_are_errors(ending, cause, message):
    with pytest.raises(MachineError, match=message):
        launch.status(Outcome(End(ending=ending, detail="why"), cause), 30)
