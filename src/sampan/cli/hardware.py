"""The flags of `sampan run` that say what computer the machine is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sampan.cli import flag
from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.desktop.bundle import Bundle
    from sampan.machine.driver import Driver
    from sampan.machine.model import Accelerator, Arch, MachineSpec


class Flags(NamedTuple):
    """What those flags said; None is what was not said."""

    cpus: int | None = None
    mem: str | None = None
    accel: str | None = None
    arch: str | None = None
    kernel: bool = False  # kept for those who type it: there is only this way to boot so far


class _Known(NamedTuple):
    """A flag that LinuxKit's users know and that is refused: what to say, if it will never come."""

    name: str
    takes_value: bool = True
    says: str = ""
    hint: str = ""


_PATH = "put the folder of the one you want first in PATH"
_REFUSED = (
    _Known("--fw"),
    _Known("--iso", takes_value=False),
    _Known("--squashfs", takes_value=False),
    _Known("--uefi", takes_value=False),
    _Known("--qemu", says="QEMU is found by PATH", hint=_PATH),
    _Known("--hyperkit", says="HyperKit is found by PATH", hint=_PATH),
    _Known(
        "--vpnkit",
        says="the network is Sampan's own",
        hint="to join one that is served elsewhere: --networking vpnkit,PATH",
    ),
    _Known(
        "--vpnkit-uuid",
        says="addresses are kept by the machine's MAC address",
        hint="to choose the address: --ip ADDRESS",
    ),
)


def _refused(known: _Known) -> flag.Option:
    def refuse(context: click.Context, option: click.Parameter, value: object) -> None:
        del context, option
        if value and known.says:
            raise UsageError(f"{known.name} is not there: {known.says}", hint=known.hint)
        if value:
            raise UsageError(
                f"{known.name} is not there yet: this version runs kernel+initrd systems only",
                hint="see sampan run --help for the flags it has",
            )

    kind: dict[str, Any] = {"multiple": True} if known.takes_value else {"is_flag": True}
    return click.option(known.name, hidden=True, expose_value=False, callback=refuse, **kind)


options = flag.gathered(
    "computer", Flags,
    click.option("--cpus", type=int, help="Number of processors.  [default: 1]"),
    click.option(
        "--mem", metavar="SIZE",
        help="Memory: a number of MiB, or a size such as 2G.  [default: 1024]",
    ),
    click.option(
        "--accel", metavar="NAME[:NAME…]", envvar=["SAMPAN_ACCEL", "LINUXKIT_QEMU_ACCEL"],
        help="kvm, hvf or tcg; of several the first that works.  "
        "[env: SAMPAN_ACCEL; default: the fastest that runs a test program]",
    ),
    click.option("--arch", metavar="NAME", help="amd64 or arm64.  [default: that of the kernel]"),
    click.option(
        "--kernel", is_flag=True, help="PATH is a kernel+initrd system (what is assumed)."
    ),
    *map(_refused, _REFUSED),
)  # fmt: skip
"""Gives a command these flags, as one argument `computer`; and those of LinuxKit, refused."""


def machine(found: Bundle, name: str, flags: Flags, driver: Driver) -> MachineSpec:
    """The machine that boots the system `found`, with a channel for an agent if `driver` can.

    Raises:
        UsageError: a flag makes no sense, or does not fit the kernel.
    """
    from sampan.machine.driver import Capability
    from sampan.machine.model import MachineSpec

    spec = MachineSpec(
        kernel=found.kernel,
        initrd=found.initrd,
        cmdline=found.cmdline,
        arch=_arch(flags.arch, found),
        name=name,
        agent=Capability.AGENT in driver.capabilities,
    )
    return altered(spec, flags)


def altered(spec: MachineSpec, flags: Flags) -> MachineSpec:
    """The machine with what the flags say.

    Raises:
        UsageError: a flag makes no sense.
    """
    from msgspec.structs import replace

    from sampan.machine.model import Arch

    changed = replace(
        spec,
        cpus=spec.cpus if flags.cpus is None else flags.cpus,
        mem_mib=spec.mem_mib if flags.mem is None else _mem_mib(flags.mem),
        arch=spec.arch if flags.arch is None else Arch.parse(flags.arch),
        accel=_accelerator(flags.accel) if flags.accel else spec.accel,
    )
    changed.check()
    return changed


def _mem_mib(text: str) -> int:
    from sampan.base.units import parse_size

    try:
        return parse_size(text, unit="M") >> 20
    except ValueError as error:
        raise UsageError(f"--mem: {error}") from error


def _arch(text: str | None, found: Bundle) -> Arch:
    from sampan.machine.accel import host_arch
    from sampan.machine.model import Arch

    if text is None:
        return found.arch or host_arch() or Arch.AMD64
    wanted = Arch.parse(text)
    if found.arch not in (None, wanted):
        raise UsageError(
            f"{found.kernel} is a kernel for {found.arch}, not {wanted}",
            hint="leave --arch away: the kernel tells",
        )
    return wanted


def _accelerator(text: str | None) -> Accelerator | None:
    """The accelerator that `text` insists on; None if TCG will do when no other works."""
    from sampan.machine.model import Accelerator

    if not text or text == "auto":
        return None
    try:
        names = [Accelerator(name) for name in text.split(":")]
    except ValueError:
        raise UsageError(
            f"--accel: {text!r} names no accelerator", hint=f"say {', '.join(Accelerator)} or auto"
        ) from None
    return None if names[0] is not Accelerator.TCG and Accelerator.TCG in names else names[0]
