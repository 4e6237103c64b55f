import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from sampan.machine import End, Ending, state
from sampan.machine.registry import record
from sampan.machine.registry.record import Run, Status


@pytest.fixture
def run():
    me = state.Identity.of(os.getpid())
    assert me is not None
    return Run(supervisor=me, started_s=1.0, runtime_root=Path("/run"), phase=Status.PAUSED)


@pytest.mark.parametrize(
    ("suspended", "ending", "expected"),
    [
        (False, None, Status.PAUSED),
        (True, None, Status.PAUSED),
        (True, Ending.DIED, Status.SUSPENDED),
        (False, Ending.DIED, Status.CRASHED),
        (False, Ending.FORCED, Status.STOPPED),
        (False, Ending.REBOOTED, Status.STOPPED),
    ],
)
def test_status(run, suspended, ending, expected):
    ended = None if ending is None else End(ending=ending)
    assert record.status(replace(run, ended=ended), suspended=suspended)[0] is expected


def test_a_machine_that_never_ran():
    assert record.status(None, suspended=False) == (Status.STOPPED, "")


def test_another_process_with_that_pid_is_not_believed(run):
    other = replace(run, supervisor=replace(run.supervisor, started="1"))
    found, detail = record.status(other, suspended=False)
    assert found is Status.CRASHED
    assert f"process {os.getpid()}" in detail


def test_ports_for_people():
    port = record.Port(host_port=80, guest_port=81, bind="::1", protocol="tcp")
    assert str(port) == "[::1]:80->81/tcp"
    assert str(replace(port, bind="127.0.0.1")) == "127.0.0.1:80->81/tcp"
    assert str(replace(port, path="/run/x")) == "/run/x->81/tcp"
