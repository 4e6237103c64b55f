"""Linux systems that are saved, put back, moved, suspended, resumed and cloned; three boots."""

import re
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from msgspec.structs import replace

from sampan import machine
from sampan.base import proc
from sampan.desktop import cloning, network
from sampan.desktop.network import Networking
from sampan.machine import LaunchOptions
from sampan.machine.model import Ending
from sampan.machine.saving import clone, suspension

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.guest,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not proc.has_tool("qemu-system-x86_64"), reason="needs QEMU"),
]


def _shell(vm, command):
    return vm.exec(["/bin/sh", "-c", command], check=True, timeout_s=300).text


def _clock_is_right(vm):
    before = time.time()
    return before - 5 < float(_shell(vm, "date +%s")) < time.time() + 5


def _address(vm):
    return [line for line in _shell(vm, "ip -4 addr show eth0").splitlines() if "inet" in line]


def test_it_goes_on_wherever_it_is_put(boot, tmp_path):
    wired = network.Options()
    with boot("snapshot", mem_mib=256, connect=wired, agent=True, vsock=machine.Vsock()) as system:
        vm = system.machine
        vm.agent.ready(deadline_s=300)
        system.wait_for("services running")
        address = _address(vm)
        assert address
        _shell(vm, "echo before > /tmp/file")
        vm.pause()
        vm.snapshot(tmp_path / "s")
        vm.resume()

        _shell(vm, "echo after > /tmp/file")
        vm.restore(tmp_path / "s")
        assert _shell(vm, "cat /tmp/file") == "before"
        _reaches_the_host(vm)

        assert vm.relocate() >= 0
        _shell(vm, "echo moved > /tmp/file")
        _reaches_the_host(vm)
        assert _shell(vm, "test -e /dev/vsock; ls -d /sys/bus/virtio/drivers/*vsock*/virtio*")

        vm.suspend(tmp_path / "u")
        assert vm.wait(timeout_s=300).ending is Ending.SUSPENDED
    saved = suspension.read(tmp_path / "u")
    with network.connection(saved.spec, wired) as made:
        options = LaunchOptions(link_path=made.link_path)
        with machine.resume(tmp_path / "u", options) as vm:
            assert _shell(vm, "cat /tmp/file") == "moved"
            assert _address(vm) == address
            _reaches_the_host(vm)
            assert _clock_is_right(vm)
    _clones_meet(saved, wired, tmp_path)


def _clones_meet(saved, wired, tmp_path):
    """Clones of one machine on the network that machines share: each has addresses of its own."""
    shared = replace(wired, networking=Networking.SHARED, control_folder=tmp_path)
    running = []
    with ExitStack() as stack:
        for name in ("one", "two"):
            spec = clone.variant(tmp_path / "u", saved, name, tmp_path)
            asked = cloning.connected(saved, shared)
            made = stack.enter_context(network.connection(spec, asked))
            options = LaunchOptions(link_path=made.link_path)
            vm = stack.enter_context(machine.resume(tmp_path / "u", options, spec=made.spec))
            assert _shell(vm, "hostname; cat /sys/class/net/eth0/address").split() == [
                name, spec.mac
            ]  # fmt: skip
            running.append(vm)
        one, two = running
        assert _address(one) != _address(two)
        assert one.spec.mac != two.spec.mac
        for vm, other in ((one, "two"), (two, "one")):
            _reaches_the_host(vm)
            assert "1 packets received" in _shell(vm, f"ping -c1 -W20 {other}")


def _reaches_the_host(vm):
    """The guest's network works: its gateway answers."""
    assert "1 packets received" in _shell(
        vm, "ping -c1 -W20 $(ip route | awk '/^default/ {print $3}')"
    )


@pytest.fixture
def tutorial(pytester, built):
    """The code of the tutorial; it is run in a folder with the system that was built for it."""
    prefix = built(ROOT / "examples/systems/exec.yml")
    for part in ("-kernel", "-initrd.img", "-cmdline"):
        (pytester.path / f"exec{part}").symlink_to(f"{prefix}{part}")
    page = (ROOT / "docs/tutorial/machines.md").read_text()
    return re.findall(r"^```python\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def test_ten_lines(pytester, tutorial):
    script, _, _ = tutorial
    result = pytester.runpython(pytester.makepyfile(script))
    assert result.ret == 0
    result.stdout.fnmatch_lines(["Linux version*"])


def test_fixtures_and_clones(pytester, tutorial):
    _, conftest, tests = tutorial
    pytester.makeconftest(conftest)
    pytester.makepyfile(
        tests
        + """

import asyncio
from sampan.machine.saving.clone import clones

def test_clones(vm, tmp_path):
    vm.snapshot(tmp_path / "s")

    async def scenario():
        async with clones(tmp_path / "s", 3, tmp_path) as made:
            told = [
                (await each.exec(["/bin/sh", "-c", "hostname; cat /etc/machine-id"])).text
                for each in made
            ]
        return [each.split() for each in told]

    told = asyncio.run(scenario())
    assert [name for name, _ in told] == ["exec-1", "exec-2", "exec-3"]
    assert len({identity for _, identity in told}) == 3
"""
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=3)
