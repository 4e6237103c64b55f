"""The flags of `sampan run` that say how the machine is connected."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from sampan.base import log
from sampan.cli import flag
from sampan.cli.backend import Backend
from sampan.cli.net import place, setting
from sampan.errors import SampanError, UsageError

if TYPE_CHECKING:
    from sampan.desktop.network import Options
    from sampan.machine.model import MachineSpec

_log = log.get(__name__)
_ALIASES = {"default": "vpnkit", "docker-for-mac": "shared", "vmnet": "user"}
_SETTINGS = frozenset({
    "--subnet", "--prefix6", "--mtu", "--dns", "--hosts", "--search", "--host-access", "--policy",
    "--proxy", "--http-view", "--har", "--sleepy",
})  # fmt: skip


class Flags(NamedTuple):
    """What those flags said; `wanted` are settings of the network, by name. None was not said."""

    publish: tuple[str, ...] = ()
    networking: str | None = None
    ip: str = ""
    guest_forwards: str = "none"
    wanted: dict[str, object] = {}  # noqa: RUF012  never changed


options = flag.gathered(
    "connected", Flags,
    click.option(
        "--publish", multiple=True, metavar="[BIND:]HOST:GUEST[/tcp|udp]",
        help="Make a port of the guest reachable on the host; repeat for more. BIND is 127.0.0.1 "
        "unless given; HOST 0 is any free port, 8000-8009:80-89 ten of them, a path a Unix socket.",
    ),
    click.option(
        "--networking", metavar="KIND",
        help="vpnkit: a network of its own, in this process (vpnkit,stream and vpnkit,vhost-user "
        "choose how frames come to it); vpnkit,PATH: that of sampan net serve --listen qemu:PATH; "
        "shared (or docker-for-mac): one that all machines which say so are on; "
        "user (or vmnet): the hypervisor's own; tap,IF and bridge,IF: a device of the host; none.  "
        "[default: vpnkit]",
    ),
    click.option("--ip", default="", metavar="ADDRESS", help="The guest's address, by DHCP."),
    click.option(
        "--guest-forwards", type=click.Choice(["none", "loopback", "all"]), default="none",
        show_default=True,
        help="Which ports of the host programs in the guest may open for themselves, with "
        "vpnkit-expose-port: none; those of 127.0.0.1; those of all addresses, and Unix sockets "
        "wherever you may make them. Gives the machine vsock.",
    ),
    functools.partial(setting.options, only=_SETTINGS),
)  # fmt: skip
"""Gives a command these flags, as one argument `connected`."""


def connection(flags: Flags, chosen: Backend, spec: MachineSpec | None = None) -> Options:
    """How to connect a machine of the hypervisor `chosen`; what flags do not say, `spec` may.

    The folders of this process are for `here` to add.

    Raises:
        UsageError: a flag makes no sense.
    """
    from msgspec.structs import replace

    from sampan.net.services.portcontrol import Allowed

    guest_forwards = Allowed(flags.guest_forwards)
    if guest_forwards is not Allowed.NONE and chosen is not Backend.QEMU:
        raise UsageError(
            f"--guest-forwards: a machine of {chosen} cannot ask for ports", hint="say qemu"
        )
    return replace(
        _networking(flags.networking or _kind_of(spec), chosen),
        publish=(*(map(str, spec.publish) if spec is not None else ()), *flags.publish),
        address=flags.ip,
        settings=setting.build(flags.wanted) if flags.wanted else None,
        guest_forwards=guest_forwards,
    )


def _kind_of(spec: MachineSpec | None) -> str:
    """What `--networking` would have to be for the network that a machine's document names.

    `user`, which need not be said there, leaves it to us.
    """
    from sampan.machine.model import Network

    if spec is None or spec.network is Network.USER:
        return "vpnkit"
    if spec.network is Network.NONE:
        return "none"
    if spec.network in (Network.TAP, Network.BRIDGE):
        return f"{spec.network},{spec.interface}"
    return f"vpnkit,{spec.network}"


def unconnected(spec: MachineSpec) -> MachineSpec:
    """The machine without what `connection` took from its document."""
    from msgspec.structs import replace

    from sampan.machine.model import Network

    return replace(spec, network=Network.USER, interface="", publish=())


def described(spec: MachineSpec, options: Options) -> MachineSpec:
    """The machine with what a document of it says about its connection, the other way round.

    Raises:
        UsageError: a published port is one that no document can name.
    """
    from msgspec.structs import replace

    from sampan.desktop.network import Networking
    from sampan.machine.forward import Forward, Protocol
    from sampan.machine.model import Network
    from sampan.net.services import forward

    spec = unconnected(spec)
    if options.networking in (Networking.NONE, Networking.TAP, Networking.BRIDGE):
        network = Network(options.networking.value)
        return replace(spec, network=network, interface=options.interface)
    found = [each for text in options.publish for each in forward.parse(text)]
    if any(each.path or each.guest for each in found):
        raise UsageError(
            "a document of a machine can name ports of this host and of the machine only",
            hint="leave such a --publish away, and say it when the document is run",
        )
    publish = tuple(
        Forward(
            host_port=each.port, guest_port=each.guest_port, bind=each.bind,
            protocol=Protocol(each.protocol),
        )
        for each in found
    )  # fmt: skip
    return replace(spec, publish=publish)


def here(options: Options, runtime_root: Path | None) -> Options:
    """`options` with the folders of this process."""
    from msgspec.structs import replace

    return replace(options, control_folder=_control_folder(), runtime_root=runtime_root)


def _networking(text: str, chosen: Backend) -> Options:
    """What `--networking` says: the kind, and what belongs to it."""
    from sampan.desktop.network import Networking, Options

    name, _, more = text.partition(",")
    if name == "vmnet" and chosen is Backend.QEMU:
        raise UsageError(
            "--networking vmnet belongs to hypervisors of macOS", hint="leave it away, or say user"
        )
    try:
        kind = Networking(_ALIASES.get(name, name))
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
        return Options(join=Path(more).absolute(), link=chosen.link)
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
