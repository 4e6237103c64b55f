"""How a machine is connected: to a network of ours, to QEMU's own, or not at all.

The machine kit takes a descriptor, the network kit a link; this module makes the two ends of
one socket and gives one to each. With `Networking.VPNKIT` the machine has a network of its
own, in a thread of this process, and always the same address.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from sampan.errors import UsageError
from sampan.machine.drivers.qemu_argv import mac_address
from sampan.machine.forward import Forward as MachineForward
from sampan.machine.forward import Protocol
from sampan.machine.model import MachineSpec, Network

if TYPE_CHECKING:
    from sampan.net.services.forward import Forward
    from sampan.net.setting import Settings


class Networking(StrEnum):
    """The kinds of networks, by the names LinuxKit's users know."""

    VPNKIT = "vpnkit"  # ours: what VPNKit was
    USER = "user"  # QEMU's user networking
    NONE = "none"


class Published(msgspec.Struct, frozen=True, kw_only=True):
    """A port of the host, or a Unix socket at `path`, that leads to a port of the guest."""

    host_port: int
    guest_port: int
    bind: str
    protocol: str
    path: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to connect a machine. `publish` are forwards in the form of `net.services.forward`.

    `address` is the machine's; empty lets the network decide. `subnet` is that of our network.
    """

    networking: Networking = Networking.VPNKIT
    publish: tuple[str, ...] = ()
    address: str = ""


class Connection(msgspec.Struct, frozen=True):
    """A machine's connection: what its spec must say, its end of the link, its published ports.

    Ports are known beforehand only on a network of ours.
    """

    spec: MachineSpec
    link: socket.socket | None = None
    published: tuple[Published, ...] = ()


@contextmanager
def connection(spec: MachineSpec, options: Options) -> Iterator[Connection]:
    """Connect a machine that is about to be launched; the network lives as long as the block.

    Raises:
        UsageError: a forward or the address makes no sense.
        PortTakenError: a port is taken; the message says by whom.
        SampanError: a port cannot be had.
    """
    match options.networking:
        case Networking.VPNKIT:
            with _own(spec, options) as made:
                yield made
        case Networking.USER:
            _no_address(options)
            publish = tuple(map(MachineForward.parse, options.publish))
            yield Connection(msgspec.structs.replace(spec, publish=publish))
        case Networking.NONE:
            _no_address(options)
            if options.publish:
                raise UsageError("a machine without a network publishes no ports")
            yield Connection(msgspec.structs.replace(spec, network=Network.NONE))


@contextmanager
def _own(spec: MachineSpec, options: Options) -> Iterator[Connection]:
    from sampan.net.runtime.attach.stream import StreamLink
    from sampan.net.runtime.usernet import UserNetwork
    from sampan.net.services import forward

    forwards = tuple(each for text in options.publish for each in forward.parse(text))
    mac = spec.mac or mac_address(spec.name)
    ours, theirs = socket.socketpair()
    with ours, theirs, UserNetwork(_settings(mac, options, forwards, spec.name)) as network:
        network.plug(
            StreamLink(ours.detach()), name=spec.name, mac=bytes.fromhex(mac.replace(":", ""))
        )
        yield Connection(
            msgspec.structs.replace(spec, network=Network.STREAM, mac=mac),
            theirs,
            tuple(map(_published, network.forwards())),
        )


def _settings(mac: str, options: Options, forwards: tuple[Forward, ...], name: str) -> Settings:
    from sampan.net.setting import Fixed, Settings, addresses
    from sampan.net.wire.address import format_ip

    address = options.address or format_ip(addresses(Settings()).lowest)
    return Settings(forwards=forwards, fixed=(Fixed(mac=mac, address=address, name=name),))


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


def _no_address(options: Options) -> None:
    if options.address:
        raise UsageError(
            f"a fixed address takes our own network, not {options.networking}",
            hint="leave --networking away",
        )
