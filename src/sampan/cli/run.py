"""`sampan run`."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from sampan.base import log
from sampan.cli import backend, detach, device, enrol, report, share, vsock
from sampan.cli.backend import Backend
from sampan.cli.net import place, setting
from sampan.cli.settings import Settings
from sampan.errors import ExitCode, SampanError, UsageError

if TYPE_CHECKING:
    from sampan.desktop import network, session
    from sampan.desktop.bundle import Bundle
    from sampan.machine.claim import Claim
    from sampan.machine.model import Accelerator, Arch

_EPILOG = """\b
Examples:
  sampan run web
  sampan run --publish 8080:80 --mem 512 web
  sampan run --share .:/src web
  sampan run qemu web > web.log
  sampan run --detached --name db database; sampan console db

On a terminal every key goes to the guest, Ctrl-C too. Ctrl-A x ends the machine, Ctrl-A p
presses its power button, Ctrl-A h shows this, Ctrl-A Ctrl-A sends a Ctrl-A. Otherwise the
output is plain text and nothing is read.

While it runs, `sampan ps`, `console`, `logs`, `stop` and so on reach it by its name, and `sampan net
flows`, `capture`, `expose` and so on its network.

SIGTERM presses the guest's power button and ends the machine after the --stop-timeout; a
second one ends it at once. The exit status is 0 when the guest powered itself off.
"""

_log = log.get(__name__)
_NETWORK_ALIASES = {"default": "vpnkit", "docker-for-mac": "shared", "vmnet": "user"}
_NETWORK_FLAGS = frozenset({
    "--subnet", "--prefix6", "--mtu", "--dns", "--hosts", "--search", "--host-access", "--policy",
    "--proxy", "--http-view", "--har",
})  # fmt: skip


class _Later(NamedTuple):
    """A flag that people know and that a later version brings."""

    name: str
    takes_value: bool = True


_LATER = (
    _Later("--fw"),
    _Later("--iso", takes_value=False), _Later("--squashfs", takes_value=False),
    _Later("--uefi", takes_value=False),
)  # fmt: skip


def _refuse(context: click.Context, option: click.Parameter, value: object) -> None:
    del context
    if value:
        raise UsageError(
            f"{option.opts[0]} is not there yet: this version runs kernel+initrd systems only",
            hint="see sampan run --help for the flags it has",
        )


def _later_flags(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give `command` the flags of later versions, hidden, each refused with a clear message."""
    for later in _LATER:
        kind: dict[str, Any] = {"multiple": True} if later.takes_value else {"is_flag": True}
        command = click.option(
            later.name, hidden=True, expose_value=False, callback=_refuse, **kind
        )(command)
    return command


@click.command("run", epilog=_EPILOG)
@click.argument("words", metavar="[BACKEND] PATH", nargs=-1, required=True)
@click.option("--cpus", type=int, default=1, show_default=True, help="Number of processors.")
@click.option(
    "--mem", default="1024", show_default=True, metavar="SIZE",
    help="Memory: a number of MiB, or a size such as 2G.",
)  # fmt: skip
@click.option(
    "--publish", multiple=True, metavar="[BIND:]HOST:GUEST[/tcp|udp]",
    help="Make a port of the guest reachable on the host; repeat for more. BIND is 127.0.0.1 "
    "unless given; HOST 0 is any free port, 8000-8009:80-89 ten of them, a path a Unix socket.",
)  # fmt: skip
@click.option(
    "--networking", default="vpnkit", show_default=True, metavar="KIND",
    help="vpnkit: a network of its own, in this process (vpnkit,stream and vpnkit,vhost-user "
    "choose how frames come to it); vpnkit,PATH: that of sampan net serve --listen qemu:PATH; "
    "shared (or docker-for-mac): one that all machines which say so are on; "
    "user (or vmnet): the hypervisor's own; tap,IF and bridge,IF: a device of the host; none.",
)  # fmt: skip
@click.option("--ip", default="", metavar="ADDRESS", help="The guest's address, by DHCP.")
@click.option(
    "--accel", metavar="NAME[:NAME…]", envvar=["SAMPAN_ACCEL", "LINUXKIT_QEMU_ACCEL"],
    help="kvm, hvf or tcg; of several the first that works.  "
    "[env: SAMPAN_ACCEL; default: the fastest that runs a test program]",
)  # fmt: skip
@click.option("--arch", metavar="NAME", help="amd64 or arm64.  [default: that of the kernel]")
@click.option("--kernel", is_flag=True, help="PATH is a kernel+initrd system (what is assumed).")
@click.option(
    "--stop-timeout", type=click.FloatRange(min=0), default=30.0, show_default=True, metavar="SECONDS",
    help="How long the guest may take to power off after SIGTERM.",
)  # fmt: skip
@click.option(
    "--dry-run", is_flag=True, help="Print the hypervisor's command line instead of running it.",
)  # fmt: skip
@enrol.options
@device.options
@share.options
@vsock.option
@functools.partial(setting.options, only=_NETWORK_FLAGS)
@_later_flags
@click.pass_obj
def command(
    settings: Settings,
    words: tuple[str, ...],
    cpus: int,
    mem: str,
    publish: tuple[str, ...],
    networking: str,
    ip: str,
    accel: str | None,
    arch: str | None,
    kernel: bool,
    stop_timeout: float,
    dry_run: bool,
    devices: device.Flags,
    shares: share.Flags,
    vsock_ports: tuple[str, ...],
    enrolment: enrol.Flags,
    wanted: dict[str, object],
) -> int:
    """Boot the system built as PATH in a virtual machine, with its console here.

    BACKEND is qemu, or on a Mac vfkit (also: virtualization, virtualization.framework) or
    hyperkit. The drivers of these two were never run on a Mac.
    """
    from msgspec.structs import replace

    from sampan.desktop import bundle, session
    from sampan.machine.driver import Capability
    from sampan.machine.model import MachineSpec
    from sampan.machine.state import runtime_root

    del kernel  # kept for those who type it: there is only this way to boot so far
    child = detach.inherited()
    if enrolment.detached and child is None and not dry_run:
        return _detached(settings)
    chosen, path = backend.split(words)
    found = bundle.find(path)
    driver = backend.driver(chosen, virtiofsd=shares.virtiofsd, state=enrolment.state)
    spec = MachineSpec(
        kernel=found.kernel,
        initrd=found.initrd,
        cmdline=found.cmdline,
        cpus=cpus,
        mem_mib=_mem_mib(mem),
        arch=_arch(arch, found),
        accel=_accelerator(accel),
        name=path.name,
        agent=Capability.AGENT in driver.capabilities,
    )
    spec.check()
    spec = share.shared(spec, shares)
    state = enrolment.state or device.state_folder(path)
    spec = vsock.plugged(spec, vsock_ports, state)
    wired = _network(networking, chosen, publish=publish, address=ip, wanted=wanted)
    if dry_run:
        click.echo(
            backend.preview(
                chosen, spec, network=wired, devices=devices, state=state,
                runtime_folder=runtime_folder(os.environ),
            )
        )  # fmt: skip
        return ExitCode.DONE
    keeps = state if device.keeps_files(devices) or vsock_ports else None
    root = runtime_root(runtime_folder(os.environ))
    with ExitStack() as stack:
        claim = stack.enter_context(
            enrol.enrolled(settings, enrolment, spec, keeps=keeps, runtime_root=root)
        )
        spec = spec if claim is None else replace(spec, name=claim.name)
        with enrol.keeping(claim):
            spec = device.equip(spec, devices, state)
            console = stack.enter_context(device.console_output(devices, state))
        if claim is not None:
            claim.describe(spec)
        options = session.Options(
            stdio=_stdio(console, is_detached=enrolment.detached),
            network=wired,
            runtime_root=root,
            power_off_deadline_s=stop_timeout,
            claim=claim,
            driver=driver,
        )
        says = report.reporter(settings, spec.name)
        outcome = session.run(spec, options, _letting_go(says, child, claim))
    return _status(outcome, stop_timeout)


def _detached(settings: Settings) -> int:
    started = detach.start(settings.words)
    if started.name:
        click.echo(started.name)
    return started.status


def _letting_go(
    says: Callable[[session.Event], None], child: detach.Detached | None, claim: Claim | None
) -> Callable[[session.Event], None]:
    """`says`, and let go of the terminal, if we are to, when the machine runs."""
    from sampan.desktop import session
    from sampan.machine import place as files

    if child is None or claim is None:
        return says

    def reported(event: session.Event) -> None:
        says(event)
        if isinstance(event, session.Started):
            child.ready(claim.name, claim.folder / files.SUPERVISOR_LOG)

    return reported


def runtime_folder(environment: Mapping[str, str]) -> Path | None:
    """Where sockets live: `SAMPAN_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/sampan`, else None."""
    if own := environment.get("SAMPAN_RUNTIME_DIR"):
        return Path(own).absolute()
    base = Path(environment.get("XDG_RUNTIME_DIR", ""))
    return base / "sampan" if base.is_absolute() and base.is_dir() else None


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


def _network(
    kind: str, chosen: Backend, *, publish: tuple[str, ...], address: str, wanted: dict[str, object]
) -> network.Options:
    from msgspec.structs import replace

    return replace(
        _networking(kind, chosen),
        publish=publish,
        address=address,
        settings=setting.build(wanted) if wanted else None,
        control_folder=_control_folder(),
        runtime_root=runtime_folder(os.environ),
    )


def _networking(text: str, chosen: Backend) -> network.Options:
    """What `--networking` says: the kind, and what belongs to it.

    Raises:
        UsageError: it says nothing that is there.
    """
    from sampan.desktop.network import Networking, Options

    name, _, more = text.partition(",")
    if name == "vmnet" and chosen is Backend.QEMU:
        raise UsageError(
            "--networking vmnet belongs to hypervisors of macOS", hint="leave it away, or say user"
        )
    try:
        kind = Networking(_NETWORK_ALIASES.get(name, name))
    except ValueError:
        raise UsageError(
            f"--networking: {text!r} is no kind of network", hint=f"say {', '.join(Networking)}"
        ) from None
    if kind in (Networking.TAP, Networking.BRIDGE):
        return Options(networking=kind, interface=more)
    if not more:
        return Options(networking=kind, link=chosen.link)
    if kind is Networking.VPNKIT and more in chosen.links:
        return Options(link=chosen.links[more])
    if kind is Networking.VPNKIT and "/" in more and "," not in more:
        return Options(join=Path(more), link=chosen.link)
    raise UsageError(
        f"--networking: {more!r} says nothing about {name}",
        hint=f"say vpnkit, or vpnkit with {', '.join((*chosen.links, 'the path of a socket'))}",
    )


def _control_folder() -> Path | None:
    """Where `sampan net` looks for networks; None if there can be no such folder."""
    try:
        return place.folder()
    except SampanError as error:
        _log.warning("sampan net cannot reach this network: %s", error)
        return None


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


def _stdio(file: int | None, *, is_detached: bool) -> session.Stdio:
    from sampan.desktop import session

    if file is None and is_detached:  # its console is in its transcript, and for `sampan console`
        file = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    if file is not None:
        return session.Stdio(output=file, keyboard=None, plain=True)
    output = 1
    is_terminal = os.isatty(output)
    keyboard = 0 if is_terminal and os.isatty(0) else None
    return session.Stdio(output=output, keyboard=keyboard, plain=not is_terminal)


def _status(outcome: session.Outcome, stop_timeout_s: float) -> ExitCode:
    """The exit status of a session.

    Raises:
        SampanError: the machine did not end well.
    """
    from sampan.desktop.session import Cause
    from sampan.machine.error import MachineError
    from sampan.machine.model import Ending

    end = outcome.end
    if end.ending in (Ending.PANICKED, Ending.DIED):
        raise MachineError(end.detail)
    if outcome.cause is Cause.INTERRUPT:
        return ExitCode.INTERRUPTED
    if end.ending is Ending.FORCED and outcome.cause is Cause.COMMAND:
        raise MachineError("the machine was ended by another command: sampan stop, kill or rm")
    if end.ending is Ending.FORCED and outcome.cause is Cause.SIGNAL:
        raise MachineError(
            f"the guest did not power off within {stop_timeout_s:g} s, and was ended",
            hint="does it run something that listens to the power button, such as acpid?",
        )
    return ExitCode.DONE
