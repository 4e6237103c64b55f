"""Which accelerator works here, found out by running a guest of a few instructions.

That `/dev/kvm` exists says nothing: it may be unreadable, or be there while the processor it
promises is not. The probe is a 64 KiB firmware whose first instructions make the machine end
in a way that nothing else does; if that happens in time, a virtual processor has run.
The answer is kept in the runtime folder until the host boots again.
"""

from __future__ import annotations

import os
import platform
import sys
from pathlib import Path

import msgspec

from sampan.base import fs, log, proc
from sampan.errors import SampanError, ToolMissingError
from sampan.machine import state
from sampan.machine.drivers import qemu_argv
from sampan.machine.error import MachineError
from sampan.machine.model import Accelerator, Arch, Verdict

_log = log.get(__name__)

PROBE_DEADLINE_S = 10.0
_FIRMWARE_BYTES = 64 << 10

# At the reset vector, 16 bytes below 4 GiB:  mov dx, 0xf4; mov al, 0x2a; out dx, al; hlt
_X86_PROBE = bytes.fromhex("baf400 b02a ee f4")
_X86_STATUS = (0x2A << 1) | 1  # how isa-debug-exit makes QEMU end
# At address 0:  mov w0, #8; movk w0, #0x8400, lsl #16 (PSCI SYSTEM_OFF); hvc #0; b .
_ARM_PROBE = bytes.fromhex("00018052 0080b072 020000d4 00000014")


class _Remembered(msgspec.Struct, frozen=True):
    """A verdict with what it depends on."""

    key: tuple[str, ...]
    verdict: Verdict


def host_arch() -> Arch | None:
    """The architecture of this computer, or None if machines have no such one."""
    names = {"x86_64": Arch.AMD64, "amd64": Arch.AMD64, "aarch64": Arch.ARM64, "arm64": Arch.ARM64}
    return names.get(platform.machine().lower())


def choose(arch: Arch, root: Path) -> Verdict:
    """The fastest accelerator that runs a guest of `arch` here; remembered below `root`.

    Raises:
        ToolMissingError: QEMU for `arch` is not installed.
    """
    program = proc.find_tool(qemu_argv.program(arch))
    native = Accelerator.HVF if sys.platform == "darwin" else Accelerator.KVM
    if arch is not host_arch():
        return Verdict(Accelerator.TCG, f"{arch} is not the architecture of this computer")
    if (known := _remembered(arch, root, program)) is not None:
        return known
    why = probe(arch, native, root)
    verdict = Verdict(native) if why is None else Verdict(Accelerator.TCG, why)
    _log.info("accelerator %s %s", verdict.accel, verdict.why)
    said = msgspec.json.encode(_Remembered(_key(program), verdict))
    fs.write_atomically(_memory(arch, root), said, durable=False)
    return verdict


def remembered(arch: Arch, root: Path) -> Verdict | None:
    """What `choose` found out here before, if nothing changed since; nothing is run for it."""
    try:
        program = proc.find_tool(qemu_argv.program(arch))
    except ToolMissingError:
        return None
    return _remembered(arch, root, program)


def require(arch: Arch, wanted: Accelerator, root: Path) -> Verdict:
    """`wanted`, if a guest runs on it.

    Raises:
        MachineError: none does; the message says what QEMU said.
        ToolMissingError: QEMU for `arch` is not installed.
    """
    if wanted is Accelerator.TCG:
        return Verdict(wanted)
    verdict = choose(arch, root)
    if verdict.accel is not wanted:
        raise MachineError(
            f"{wanted} does not run {arch} machines here: {verdict.why or 'not this system'}",
            hint=f"leave --accel away: {verdict.accel} works",
        )
    return verdict


def probe(arch: Arch, accel: Accelerator, folder: Path) -> str | None:
    """Run a guest of a few instructions; None if it ran, else why not."""
    firmware = folder / f".probe-{os.getpid()}.bin"
    fs.write_atomically(firmware, _firmware(arch), durable=False)
    argv = [*_probe_argv(arch, accel), "-bios", str(firmware)]
    try:
        done = proc.run(argv, check=False, timeout_s=PROBE_DEADLINE_S)
    except TimeoutError:
        return f"no instruction was executed within {PROBE_DEADLINE_S:g} s"
    except ToolMissingError:
        raise
    except (OSError, SampanError) as error:
        return str(error)
    finally:
        firmware.unlink(missing_ok=True)
    if done.status == (_X86_STATUS if arch is Arch.AMD64 else 0):
        return None
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.status < 0 or not said:  # what it says when it crashes helps nobody who runs a machine
        _log.info("probe of %s: %s", accel, " ".join(said))
        return f"QEMU {proc.explain_status(done.status)} when it used {accel}"
    return said[-1].removeprefix(f"{qemu_argv.program(arch)}: ")


def _probe_argv(arch: Arch, accel: Accelerator) -> tuple[str, ...]:
    machine = "pc" if arch is Arch.AMD64 else "virt"
    if arch is Arch.ARM64 and accel is Accelerator.KVM:
        machine += ",gic-version=host"
    debug = ("-device", "isa-debug-exit,iobase=0xf4,iosize=1") if arch is Arch.AMD64 else ()
    cpu = "max" if accel is Accelerator.TCG else "host"
    return (
        qemu_argv.program(arch), "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", machine, "-accel", accel.value, "-cpu", cpu, "-m", "16M", *debug,
    )  # fmt: skip


def _firmware(arch: Arch) -> bytes:
    if arch is Arch.ARM64:
        return _ARM_PROBE.ljust(_FIRMWARE_BYTES, b"\0")
    return bytes(_FIRMWARE_BYTES - 16) + _X86_PROBE.ljust(16, b"\xf4")


def _memory(arch: Arch, root: Path) -> Path:
    return root / f"accel-{arch}.json"


def _key(program: Path) -> tuple[str, ...]:
    """All that a verdict depends on."""
    changed = str(program.stat().st_mtime_ns)
    return (state.boot_id(), str(program), changed, str(_may_use_kvm()))


def _remembered(arch: Arch, root: Path, program: Path) -> Verdict | None:
    found = _recall(_memory(arch, root))
    return found.verdict if found is not None and found.key == _key(program) else None


def _may_use_kvm() -> bool:
    """Part of the memory's key: being added to group kvm changes the answer without a reboot."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK)


def _recall(path: Path) -> _Remembered | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Remembered)
    except (OSError, msgspec.MsgspecError):
        return None  # not there yet, or of an older version: probe again
