"""How a machine is connected: to a network of ours, to QEMU's own, or not at all.

The machine kit takes a descriptor or a path, the network kit a link; this module makes the two
ends of one socket and gives one to each. With `Networking.VPNKIT` the machine has a network of
its own, in a thread of this process, and always the same address; with a `socket` it joins a
network that another process serves.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sampan.desktop import opened
from sampan.desktop.link import DEFAULT_LINK, Link, attached, mac_of
from sampan.errors import SampanError, UsageError
from sampan.machine.drivers.qemu_argv import mac_address
from sampan.machine.forward import Forward as MachineForward
from sampan.machine.forward import Protocol
from sampan.machine.model import MachineSpec, Network
from sampan.net.services.portcontrol import Allowed, Port
from sampan.net.setting import Fixed, Settings, addresses
from sampan.net.wire.address import format_ip

if TYPE_CHECKING:
    from sampan.net.runtime.usernet import UserNetwork
    from sampan.net.services.forward import Forward


class Networking(StrEnum):
    """The kinds of networks, by the names LinuxKit's users know."""

    VPNKIT = "vpnkit"  # ours: what VPNKit was
    SHARED = "shared"  # ours, one for all machines that ask for it
    USER = "user"  # QEMU's user networking
    TAP = "tap"  # a TAP device of the host
    BRIDGE = "bridge"  # a bridge of the host
    NONE = "none"


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A port of the host, or a Unix socket at `path`, that leads to a port of the guest."""

    host_port: int
    guest_port: int
    bind: str
    protocol: str
    path: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect a machine.

    Attributes:
        networking: the kind of network.
        link: how frames come to a network of ours.
        join: where another process serves the network (`sampan net serve --listen qemu:PATH`);
            None makes one for this machine alone.
        interface: the host's TAP device or bridge, for a machine that is connected to one.
        publish: forwards, in the form of `net.services.forward`.
        address: the machine's; empty lets the network decide.
        settings: what else our network is to be; None takes what it is by itself.
        control_folder: where the control socket of our network is made, under the machine's
            name, and where the shared network is; None makes none.
        runtime_root: as of `machine.LaunchOptions`.
        guest_forwards: which ports of the host programs in the machine may ask for, through
            vsock; on a network of its own.
        added, asked: of a machine that was saved, the forwards that had been added while it
            ran, in the form of `publish`, and what its programs had asked for.
    """

    networking: Networking = Networking.VPNKIT
    link: Link = DEFAULT_LINK
    join: Path | None = None
    interface: str = ""
    publish: tuple[str, ...] = ()
    address: str = ""
    settings: Settings | None = None
    control_folder: Path | None = None
    runtime_root: Path | None = None
    guest_forwards: Allowed = Allowed.NONE
    added: tuple[str, ...] = ()
    asked: tuple[Port, ...] = ()


class Connection(msgspec.Struct, frozen=True):
    """A machine's connection: what its spec must say, its end of the link, its published ports.

    Ports are known beforehand only on a network of ours. `name` is what that is called for
    `sampan net`; empty if it is not served. `link` is to be closed once the machine has it;
    `relink` opens another one in its place (`machine.LaunchOptions`). `ports` are those that are
    opened while it runs; None where nobody can.
    """

    spec: MachineSpec
    link: socket.socket | None = None
    link_path: Path | None = None
    published: tuple[Published, ...] = ()
    name: str = ""
    relink: Callable[[], socket.socket] | None = None
    ports: opened.Ports | None = None


@contextmanager
def connection(
    spec: MachineSpec, options: Options, stop: Callable[[], None] = lambda: None
) -> Iterator[Connection]:
    """Connect a machine that is about to be launched; the network lives as long as the block.

    `stop` is called, in another thread, when somebody wants the network to end.

    Raises:
        UsageError: a forward or the address makes no sense.
        PortTakenError: a port is taken; the message says by whom.
        SampanError: a port cannot be had, or nobody serves the network to join.
    """
    if options.guest_forwards is not Allowed.NONE:
        _check_answerable(spec, options)
    if options.networking is Networking.SHARED:
        with _member(spec, options) as made:
            yield made
    elif options.networking is not Networking.VPNKIT:
        yield _not_ours(spec, options)
    elif options.join is not None:
        with _joined(spec, options, options.join) as made:
            yield made
    else:
        with _own(spec, options, stop) as made:
            yield made


def _check_answerable(spec: MachineSpec, options: Options) -> None:
    """Refuse a machine that could not ask, or a network that could not answer.

    Raises:
        UsageError: it has no vsock, or the network is another's or not ours.
    """
    if spec.vsock is None:
        raise UsageError(
            "a machine asks for ports of the host through vsock, and this one has none"
        )
    if options.networking is not Networking.VPNKIT or options.join is not None:
        raise UsageError(
            "a machine asks for ports of the host on a network of its own only",
            hint="leave --networking away",
        )


def planned(spec: MachineSpec, options: Options) -> MachineSpec:
    """What the spec of a machine will say of its network, without making one; its link aside."""
    if options.networking not in (Networking.SHARED, Networking.VPNKIT):
        return _not_ours(spec, options).spec
    mac = spec.mac if options.join is not None else spec.mac or mac_address(spec.name)
    link = Link.STREAM if options.join and options.link is Link.VHOST_USER else options.link
    return msgspec.structs.replace(spec, network=link.network, mac=mac)


def _not_ours(spec: MachineSpec, options: Options) -> Connection:
    for what, given in (
        ("a fixed address takes", options.address),
        ("settings of the network take", options.settings),
    ):
        if given:
            raise UsageError(
                f"{what} our own network, not {options.networking}",
                hint="leave --networking away",
            )
    if options.networking is Networking.USER:
        publish = tuple(map(MachineForward.parse, options.publish))
        return Connection(msgspec.structs.replace(spec, publish=publish))
    if options.publish:
        raise UsageError(
            f"a machine with --networking {options.networking} publishes no ports",
            hint="leave --publish away",
        )
    network = Network(options.networking.value)
    return Connection(msgspec.structs.replace(spec, network=network, interface=options.interface))


@contextmanager
def _joined(spec: MachineSpec, options: Options, path: Path) -> Iterator[Connection]:
    if options.publish or options.address or options.settings:
        raise UsageError(
            f"the network at {path} is somebody else's to configure",
            hint="ports: sampan net expose; all else: flags of sampan net serve",
        )
    if options.link in (Link.DATAGRAM, Link.VPNKIT):  # the hypervisor itself connects
        yield Connection(msgspec.structs.replace(spec, network=options.link.network), None, path)
        return
    with _streaming(spec, partial(_connected, path)) as made:
        yield made


@contextmanager
def _member(spec: MachineSpec, options: Options) -> Iterator[Connection]:
    """A place on the network that machines share; see `desktop.shared`."""
    from sampan.desktop import shared
    from sampan.net.services import forward

    if options.settings:
        raise UsageError(
            "the shared network is not this machine's to configure",
            hint="flags of a network take --networking vpnkit",
        )
    folder = options.control_folder
    if options.link in (Link.DATAGRAM, Link.VPNKIT):
        raise UsageError(
            "only machines of QEMU join the shared network", hint="leave --networking away"
        )
    if folder is None:
        raise UsageError("there is no folder where the shared network could be controlled")
    spec = msgspec.structs.replace(spec, mac=spec.mac or mac_address(spec.name))
    forwards = tuple(each for text in options.publish for each in forward.parse(text))
    with shared.member(
        folder, mac=spec.mac, name=spec.name, address=options.address, forwards=forwards
    ) as place:
        published = tuple(map(_published, place.forwards))
        if options.link is Link.VHOST_USER:
            spec = msgspec.structs.replace(spec, network=Network.VHOST_USER)
            path = shared.link_path(folder, "vhost-user")
            yield Connection(spec, link_path=path, published=published, name=shared.NAME)
        else:
            path = shared.link_path(folder, "qemu")
            with _streaming(spec, partial(_connected, path)) as made:
                yield msgspec.structs.replace(made, published=published, name=shared.NAME)


@contextmanager
def _streaming(spec: MachineSpec, relink: Callable[[], socket.socket]) -> Iterator[Connection]:
    with relink() as link:
        yield Connection(msgspec.structs.replace(spec, network=Network.STREAM), link, relink=relink)


def _connected(path: Path) -> socket.socket:
    link = socket.socket(socket.AF_UNIX)
    try:
        link.connect(str(path))
    except OSError as error:
        link.close()
        raise SampanError(
            f"no network can be joined at {path}: {error.strerror or error}",
            hint=f"start one: sampan net serve --listen qemu:{path}",
        ) from error
    return link


@contextmanager
def _own(spec: MachineSpec, options: Options, stop: Callable[[], None]) -> Iterator[Connection]:
    from sampan.desktop import identity
    from sampan.desktop.control import controlled
    from sampan.net.runtime.host.descriptor import raise_limit
    from sampan.net.runtime.usernet import UserNetwork
    from sampan.net.services import forward

    raise_limit()
    forwards = tuple(each for text in options.publish for each in forward.parse(text))
    spec = msgspec.structs.replace(spec, mac=spec.mac or mac_address(spec.name))
    plugged = _plugged if options.link is Link.STREAM else _attached
    with (
        UserNetwork(_settings(spec, options, forwards)) as network,
        plugged(network, spec, options) as made,
        controlled(network, options.control_folder, spec.name, stop) as name,
    ):
        identity.serve(network, spec)
        published = tuple(map(_published, network.forwards()))
        ports = opened.Opened(network, options)
        yield msgspec.structs.replace(made, published=published, name=name, ports=ports)


@contextmanager
def _plugged(network: UserNetwork, spec: MachineSpec, _: Options) -> Iterator[Connection]:
    """The machine's end of a stream."""
    from sampan.net.runtime.attach.stream import StreamLink

    def relink() -> socket.socket:
        ours, theirs = socket.socketpair()
        network.plug(StreamLink(ours.detach()), name=spec.name, mac=mac_of(spec))
        return theirs

    with _streaming(spec, relink) as made:
        yield made


@contextmanager
def _attached(network: UserNetwork, spec: MachineSpec, options: Options) -> Iterator[Connection]:
    """Where the machine's hypervisor connects."""
    with attached(network, spec, options.link, options.runtime_root) as path:
        made = msgspec.structs.replace(spec, network=options.link.network)
        yield Connection(made, link_path=path)


def _settings(spec: MachineSpec, options: Options, forwards: tuple[Forward, ...]) -> Settings:
    wanted = options.settings or Settings()
    address = options.address or format_ip(addresses(wanted).lowest)
    fixed = Fixed(mac=spec.mac, address=address, name=spec.name)
    return msgspec.structs.replace(
        wanted, forwards=(*wanted.forwards, *forwards), fixed=(*wanted.fixed, fixed)
    )


def _published(forward: Forward) -> Published:
    return Published(
        host_port=forward.port,
        guest_port=forward.guest_port,
        bind=forward.bind,
        protocol=forward.protocol,
        path=forward.path,
    )


def published_by_machine(forwards: tuple[MachineForward, ...]) -> tuple[Published, ...]:
    """The ports that a machine on QEMU's user networking publishes itself."""
    return tuple(
        Published(
            host_port=each.host_port,
            guest_port=each.guest_port,
            bind=each.bind,
            protocol=Protocol(each.protocol),
        )
        for each in forwards
    )
