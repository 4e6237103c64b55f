"""The driver against the real QEMU, with a kernel of a few instructions (see `tiny_kernel`).

How it deals with a QEMU that misbehaves is tested through `VM`, in test_lifecycle.py.
"""

import contextlib
import os
import socket
import urllib.request

import pytest

from sampan import machine
from sampan.base import proc
from sampan.errors import SampanError
from sampan.machine import Accelerator, Arch, Ending, Forward, MachineSpec, accel
from sampan.machine.port import PortError

pytestmark = [
    pytest.mark.guest,
    pytest.mark.skipif(not proc.has_tool("qemu-system-x86_64"), reason="needs QEMU"),
]

_CODE = bytes.fromhex(
    "ba0206 b80001 ef"  # enable the power button: bit 8 of the PM1 enable register
    "be a600"  # the text, counted from the start of the setup segment
    "2eac 84c0 7406 baf803 ee ebf4"  # put it out on the first serial port, up to a zero
    "ba0006 ed f6c401 74f7"  # wait until bit 8 of the PM1 status register is set
    "ba0406 b80020 ef f4"  # sleep type 0, sleep enable: off
)


@pytest.fixture
def tiny_kernel(tmp_path):
    """A kernel that prints `hello from 16 bits` and powers off when the button is pressed.

    It follows the boot protocol as far as QEMU looks: a boot sector, one sector of setup code
    with its header, and an empty rest.
    """
    setup = bytearray(512)
    setup[0:2] = b"\xeb\x7e"  # jump over the header
    setup[2:6] = b"HdrS"
    setup[6:8] = b"\x03\x02"  # protocol 2.03
    setup[0x11] = 1  # loaded high
    setup[0x80 : 0x80 + len(_CODE)] = _CODE
    setup[0xA6 : 0xA6 + 20] = b"hello from 16 bits\r\n"
    sector = bytearray(512)
    sector[0x1F1] = 1
    path = tmp_path / "tiny-kernel"
    path.write_bytes(bytes(sector) + bytes(setup) + bytes(512))
    return path


@pytest.fixture
def spec(tiny_kernel):
    return MachineSpec(kernel=tiny_kernel, mem_mib=32, accel=Accelerator.TCG)


def test_console_and_power_button(spec, options):
    with machine.launch(spec, options) as vm:
        vm.console.expect("hello from 16 bits\n", timeout_s=60)
        assert vm.power_off(deadline_s=60).ending is Ending.POWERED_OFF


def test_published_ports_listen(spec, options):
    forwards = (Forward.parse("0:80"), Forward.parse("0:80/udp"), Forward.parse("0.0.0.0:0:81"))
    wanted = MachineSpec(kernel=spec.kernel, mem_mib=32, accel=Accelerator.TCG, publish=forwards)
    with machine.launch(wanted, options) as vm:
        assert [(real.bind, real.protocol, real.guest_port) for real in vm.forwards] == [
            (asked.bind, asked.protocol, asked.guest_port) for asked in forwards
        ]
        assert all(real.host_port for real in vm.forwards)
        with contextlib.suppress(OSError):  # somebody listens; nobody answers
            urllib.request.urlopen(f"http://127.0.0.1:{vm.forwards[0].host_port}", timeout=0.05)
        assert vm.kill().ending is Ending.FORCED


def test_ports_come_and_go_while_it_runs(spec, options):
    with machine.launch(spec, options) as vm:
        asked = (Forward.parse("0:80"), Forward.parse("0:80"), Forward.parse("0.0.0.0:0:53/udp"))
        real = tuple(vm.expose(each) for each in asked)
        assert vm.forwards == real
        assert len({each.host_port for each in real}) == 3
        with socket.create_connection(("127.0.0.1", real[0].host_port), timeout=60):
            vm.unexpose(real[0])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", real[0].host_port), timeout=60)
        assert vm.expose(real[0]) == real[0]
        vm.unexpose(real[2])
        with socket.socket(type=socket.SOCK_DGRAM) as free:
            free.bind(("0.0.0.0", real[2].host_port))
            with pytest.raises(PortError, match=f"host port {real[2].host_port}/udp is already"):
                vm.expose(real[2])
        assert vm.forwards == (real[1], real[0])


def test_a_quit_by_its_own_protocol(spec, options):
    with machine.launch(spec, options) as vm:
        vm.execute("quit")
        assert vm.wait(timeout_s=60).ending is Ending.FORCED


def test_a_signal_from_outside_is_explained(spec, options):
    with machine.launch(spec, options) as vm:
        os.kill(vm.pid, 15)
        end = vm.wait(timeout_s=60)
    assert end.ending is Ending.DIED
    assert end.detail.startswith("QEMU was told to end by a signal from outside")


def test_a_kernel_that_is_none(tmp_path, options):
    (tmp_path / "text").write_text("not a kernel")
    spec = MachineSpec(kernel=tmp_path / "text", mem_mib=32, accel=Accelerator.TCG)
    with (
        pytest.raises(SampanError, match=r"^QEMU did not start: qemu: invalid kernel header$"),
        machine.launch(spec, options),
    ):
        pytest.fail("it started")


def test_the_probe_runs_on_a_processor_that_works(runtime_root):
    assert accel.probe(Arch.AMD64, Accelerator.TCG, runtime_root) is None


@pytest.mark.skipif(not proc.has_tool("qemu-system-aarch64"), reason="needs QEMU for arm64")
def test_the_probe_for_arm64(runtime_root):
    assert accel.probe(Arch.ARM64, Accelerator.TCG, runtime_root) is None
