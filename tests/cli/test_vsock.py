"""`sampan run --vsock-ports`, as what it makes of a machine."""

from pathlib import Path

import pytest

from sampan.cli import vsock
from sampan.errors import UsageError
from sampan.machine.device import Vsock
from sampan.machine.model import MachineSpec

SPEC = MachineSpec(kernel=Path("k"))


def test_without_the_flag_there_is_no_vsock(tmp_path):
    assert vsock.plugged(SPEC, (), tmp_path) is SPEC


@pytest.mark.parametrize(
    ("said", "ports"),
    [(("2374",), (2374,)), (("2374,0x3e8", "7", "7"), (2374, 1000, 7)), ((" 1 , 2 ",), (1, 2))],
)
def test_ports_repeated_and_between_commas(said, ports, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = vsock.plugged(SPEC, said, Path("web-state")).vsock
    assert made is not None
    assert (made.ports, made.folder) == (ports, tmp_path / "web-state")


@pytest.mark.parametrize("said", ["x", "4294967295", "-1"])
def test_what_is_no_port(said, tmp_path):
    with pytest.raises(UsageError, match="port"):
        vsock.plugged(SPEC, (said,), tmp_path)


def test_vsock_that_something_else_wants(tmp_path):
    made = vsock.plugged(SPEC, (), tmp_path, is_wanted=True)
    assert made.vsock == Vsock()
    assert vsock.plugged(made, (), tmp_path, is_wanted=True) is made
    assert vsock.plugged(made, ("7",), tmp_path, is_wanted=True).vsock.ports == (7,)
