"""The files of a built system, found by the name it was built under.

`sampan build web.yml` leaves `web-kernel`, `web-initrd.img` and `web-cmdline`; `sampan run web`
starts from them. What is there but cannot be run yet, or is not a system at all, is told apart
so that the error can say what to do.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec

from sampan.errors import SampanError, UsageError
from sampan.machine.model import Arch, MachineSpec

_PARTS = ("-kernel", "-initrd.img", "-cmdline")
_LATER_PARTS = ("-squashfs.img", "-erofs.img", "-bios.img", "-efi.img", ".iso", "-efi.iso")
_MAX_CMDLINE_BYTES = 64 << 10  # kernels take 2 to 4 KiB
_X86_MAGIC, _X86_MAGIC_AT = b"HdrS", 0x202  # Linux, Documentation/arch/x86/boot.rst
_ARM64_MAGIC, _ARM64_MAGIC_AT = b"ARM\x64", 56  # Linux, Documentation/arch/arm64/booting.rst


class BundleError(SampanError):
    """There is no system that can be run under that name."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A system that boots by kernel and initrd; `arch` None if the kernel does not tell."""

    kernel: Path
    initrd: Path
    cmdline: str
    arch: Arch | None


def find(path: Path) -> Bundle:
    """The system built under the name `path`.

    Raises:
        BundleError: parts of it, or all, are missing; the hint says what to do.
        UsageError: `path` is something else.
    """
    if path.name in ("", ".."):
        raise UsageError(
            f"{path} is a folder, not the name of a system", hint="say for instance sampan run web"
        )
    kernel, initrd, cmdline = (path.with_name(path.name + part) for part in _PARTS)
    missing = [part for part in (kernel, initrd, cmdline) if not part.is_file()]
    if missing:
        raise _explained(path, missing)
    return Bundle(
        kernel=kernel, initrd=initrd, cmdline=_read_cmdline(cmdline), arch=kernel_arch(kernel)
    )


def spec(path: Path | str, **fields: object) -> MachineSpec:
    """A machine that boots the system built under the name `path`; `fields` as in `MachineSpec`.

    Raises:
        BundleError, UsageError: as `find`.
    """
    path = Path(path)
    found = find(path)
    known = {
        "kernel": found.kernel, "initrd": found.initrd, "cmdline": found.cmdline,
        "name": path.name, "arch": found.arch or Arch.AMD64,
    }  # fmt: skip
    return MachineSpec(**{**known, **fields})  # type: ignore[arg-type]  # as the caller says


def kernel_arch(kernel: Path) -> Arch | None:
    """The architecture of a kernel, from its header; None if it is compressed or unknown."""
    with kernel.open("rb") as stream:
        header = stream.read(0x210)
    if header[_X86_MAGIC_AT:].startswith(_X86_MAGIC):
        return Arch.AMD64
    if header[_ARM64_MAGIC_AT:].startswith(_ARM64_MAGIC):
        return Arch.ARM64
    return None


def _read_cmdline(path: Path) -> str:
    with path.open("rb") as stream:
        text = stream.read(_MAX_CMDLINE_BYTES + 1)
    if len(text) > _MAX_CMDLINE_BYTES or b"\0" in text:
        raise BundleError(f"{path} is not a kernel command line")
    return text.decode(errors="surrogateescape").strip()


def _explained(path: Path, missing: list[Path]) -> SampanError:
    if path.suffix in (".yml", ".yaml"):
        return UsageError(
            f"{path} describes a system; it has to be built before it can run",
            hint=f"sampan build {path}, then: sampan run {path.stem}; "
            f"if it describes a machine: sampan run --spec {path}",
        )
    if path.suffix == ".json":
        return UsageError(
            f"{path} is no built system",
            hint=f"if it describes a machine: sampan run --spec {path}",
        )
    for part in _PARTS:
        if path.name.endswith(part) and path.is_file():
            name = path.with_name(path.name.removesuffix(part))
            return UsageError(
                f"{path} is one part of a system", hint=f"name the whole: sampan run {name}"
            )
    if path.is_file():
        return UsageError(
            f"cannot run {path} yet: only kernel+initrd outputs boot",
            hint="build with --format kernel+initrd, and name the system without suffix",
        )
    return _incomplete(path, missing)


def _incomplete(path: Path, missing: list[Path]) -> SampanError:
    if len(missing) < len(_PARTS):
        names = " and ".join(str(part) for part in missing)
        verb = "is" if len(missing) == 1 else "are"
        return BundleError(f"cannot run {path}: {names} {verb} missing", hint=_build_hint(path))
    for part in _LATER_PARTS:
        other = path.with_name(path.name + part)
        if other.is_file():
            return BundleError(
                f"cannot run {other} yet: only kernel+initrd outputs boot",
                hint=f"build {path} with --format kernel+initrd",
            )
    return BundleError(
        f"there is no system {path}: {missing[0]} is missing", hint=_build_hint(path)
    )


def _build_hint(path: Path) -> str:
    return f"build it first: sampan build {shlex.quote(str(path.with_name(path.name + '.yml')))}"
