"""Whether a driver runs machines here: a kernel of a few instructions is booted, and ends itself.

The kernel says a line on the serial port, where there is one, and switches the machine off. It
needs no initrd, so this tests the hypervisor and our driver, and nothing of any system.

On x86 it has the header of a Linux kernel (Linux, Documentation/arch/x86/boot.rst) and the same
program for each way in: real mode (QEMU's loader) and 32 or 64 bits (HyperKit's and Apple's). It
writes to the ports that switch QEMU's machines and HyperKit's off. On arm64 it asks the firmware
(PSCI SYSTEM_OFF).
"""

from __future__ import annotations

import asyncio
import struct
import tempfile
import time
from pathlib import Path

import msgspec

from sampan.errors import SampanError, ToolMissingError
from sampan.machine.body import LaunchOptions
from sampan.machine.driver import Driver
from sampan.machine.error import MachineError
from sampan.machine.lifecycle import VM
from sampan.machine.model import Arch, Ending, MachineSpec, Network

SAYS = "sampan selftest"
DEADLINE_S = 60.0
_MEM_MIB = 128
_COM1, _COM1_STATUS = 0x3F8, 0x3FD
_OFF = ((0x604, 0x2000), (0x404, 0x3400))  # ACPI PM1a_CNT of QEMU and of HyperKit: SLP_EN, S5
_SETUP_BYTES, _PROGRAM_AT, _LONG_ENTRY = 1024, 0x280, 0x200
_HDRS_AT, _VERSION, _LOADED_HIGH = 0x202, 0x020C, 1
_HALT = bytes.fromhex("f4 ebfd")  # hlt; jmp back
# b .+64, the header up to its magic, then: PSCI SYSTEM_OFF by hvc, and wfi for ever
_ARM_ENTRY = bytes.fromhex("10000014 00000000")
_ARM_PROGRAM = bytes.fromhex("00018052 0080b072 020000d4 7f2003d5 ffffff17")
_ARM_IMAGE_BYTES = 4096


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """How a driver did: `detail` is the error if it did not work, `end` how the machine ended."""

    driver: str
    arch: Arch
    works: bool
    accel: str = ""
    seconds: float = 0.0
    end: str = ""
    detail: str = ""


def run(
    driver: Driver, arch: Arch, *, runtime_root: Path | None = None, deadline_s: float = DEADLINE_S
) -> Result:
    """Boot a kernel of a few instructions with `driver`, and see whether it runs and ends.

    Raises:
        ToolMissingError: the hypervisor is not installed.
    """
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="sampan-selftest-") as folder:
        path = Path(folder) / "kernel"
        path.write_bytes(kernel(arch))
        spec = MachineSpec(
            kernel=path, arch=arch, mem_mib=_MEM_MIB, network=Network.NONE, name="selftest",
            cmdline="console=ttyS0",
        )  # fmt: skip
        options = LaunchOptions(driver=driver, runtime_root=runtime_root)
        try:
            accel, end = asyncio.run(_boot(spec, options, deadline_s))
        except ToolMissingError:
            raise
        except (SampanError, OSError) as error:
            return Result(driver=driver.name, arch=arch, works=False, detail=str(error))
    return Result(
        driver=driver.name, arch=arch, works=True, accel=accel, end=end,
        seconds=round(time.monotonic() - begin_s, 3),
    )  # fmt: skip


async def _boot(spec: MachineSpec, options: LaunchOptions, deadline_s: float) -> tuple[str, str]:
    async with VM.launch(spec, options) as vm:
        end = await vm.wait(timeout_s=deadline_s)
        if end.ending is not Ending.POWERED_OFF:
            raise MachineError(f"the machine {end.ending}: {end.detail or 'nothing more is known'}")
        said = str(vm.console.transcript)
        if spec.arch is Arch.AMD64 and SAYS not in said:
            raise MachineError(f"the console said {said!r}, not {SAYS!r}")
        return vm.verdict.accel.value, end.ending.value


def kernel(arch: Arch) -> bytes:
    """A kernel for `arch` that says `SAYS`, if it can, and ends its machine."""
    if arch is Arch.ARM64:
        return _arm_image()
    setup = bytearray(_SETUP_BYTES)
    struct.pack_into("<B", setup, 0x1F1, _SETUP_BYTES // 512 - 1)  # sectors besides the first
    struct.pack_into("<H", setup, 0x1FE, 0xAA55)
    struct.pack_into("<BB", setup, 0x200, 0xEB, _PROGRAM_AT - _HDRS_AT)  # jmp
    struct.pack_into("<4sH", setup, _HDRS_AT, b"HdrS", _VERSION)
    struct.pack_into("<B", setup, 0x211, _LOADED_HIGH)
    struct.pack_into("<I", setup, 0x214, 0x100000)  # where the rest is loaded
    struct.pack_into("<I", setup, 0x22C, 0x7FFFFFFF)  # how high an initrd may be
    struct.pack_into("<I", setup, 0x230, 0x1000)  # alignment
    struct.pack_into("<I", setup, 0x238, 255)  # longest command line
    struct.pack_into("<I", setup, 0x260, 0x10000)  # memory it needs to begin
    real = _x86_program(is_real_mode=True)
    setup[_PROGRAM_AT : _PROGRAM_AT + len(real)] = real
    program = _x86_program(is_real_mode=False)
    # a 64-bit loader enters 512 bytes further on than a 32-bit one
    return bytes(setup) + program.ljust(_LONG_ENTRY, b"\x90") + program.ljust(4096, b"\xf4")


def _x86_program(*, is_real_mode: bool) -> bytes:
    """Say the line and switch off; the words differ by mode only in the size of numbers."""

    def port(number: int) -> bytes:  # mov (e)dx, number
        return b"\xba" + struct.pack("<H" if is_real_mode else "<I", number)

    wide = b"" if is_real_mode else b"\x66"
    code = b""
    for letter in f"{SAYS}\r\n".encode():
        # wait for the transmitter: in al, dx; test al, 0x20; jz back
        code += port(_COM1_STATUS) + bytes.fromhex("ec a820 74fb")
        code += port(_COM1) + bytes([0xB0, letter, 0xEE])  # mov al, letter; out dx, al
    for number, value in _OFF:  # mov ax, value; out dx, ax
        code += port(number) + wide + b"\xb8" + struct.pack("<H", value) + wide + b"\xef"
    return code + _HALT


def _arm_image() -> bytes:
    """The header of Linux, Documentation/arch/arm64/booting.rst, and the program."""
    size = struct.pack("<QQQ", 0, _ARM_IMAGE_BYTES, 0b1010)  # 4 KiB pages, anywhere in memory
    header = _ARM_ENTRY + size + bytes(24) + b"ARM\x64" + bytes(4)
    return (header + _ARM_PROGRAM).ljust(_ARM_IMAGE_BYTES, b"\0")
