from pathlib import Path

import msgspec
import pytest

from sampan.errors import UsageError
from sampan.machine.forward import Forward
from sampan.machine.model import Arch, End, Ending, MachineSpec, Network


@pytest.mark.parametrize(
    ("text", "arch"),
    [("amd64", Arch.AMD64), ("x86_64", Arch.AMD64), ("arm64", Arch.ARM64), ("AArch64", Arch.ARM64)],
)
def test_architectures_have_two_names(text, arch):
    assert Arch.parse(text) is arch


def test_unknown_architecture():
    with pytest.raises(UsageError, match="architecture 's390x'") as caught:
        Arch.parse("s390x")
    assert caught.value.hint == "say one of: amd64, arm64"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cpus": 0}, "0 cpus"),
        ({"cpus": 256}, "256 cpus"),
        ({"mem_mib": 31}, "31 MiB of memory"),
        ({"mem_mib": "256"}, "mem_mib of a machine is '256': that is no int"),
        ({"kernel": "web-kernel"}, "kernel of a machine is 'web-kernel': that is no Path"),
        (
            {"network": Network.NONE, "publish": (Forward.parse("1:1"),)},
            "cannot publish ports itself",
        ),
    ],
)
def test_impossible_numbers(fields, message):
    with pytest.raises(UsageError, match=message):
        MachineSpec(**{"kernel": Path("k"), **fields}).check()


def test_specs_are_values():
    spec = MachineSpec(kernel=Path("k"))
    spec.check()
    assert spec == MachineSpec(kernel=Path("k"))
    with pytest.raises(AttributeError):
        spec.cpus = 2  # type: ignore[misc]
    assert msgspec.structs.replace(spec, cpus=2).cpus == 2


def test_clean_endings():
    clean = {ending for ending in Ending if End(ending=ending).clean}
    assert clean == {Ending.POWERED_OFF, Ending.REBOOTED, Ending.SUSPENDED}
