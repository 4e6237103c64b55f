"""`sampan net attach`: a network for what runs in a network namespace."""

from __future__ import annotations

import hashlib
import os
import select
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sampan.cli.net import place, serve, setting
from sampan.cli.settings import Settings
from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.net import setting as net_setting
    from sampan.net.runtime.assembly import Assembly
    from sampan.net.runtime.attach.netns import Interface
    from sampan.net.runtime.usernet import UserNetwork

_EPILOG = """\b
Examples:
  unshare --user --map-root-user --net sleep 1h &  sampan net attach --netns $!
  sampan net attach --netns blue --publish 8080:80      # of ip netns add blue
  sampan net attach --netns /proc/4711/ns/net --tap-name eth0

The device is configured and up when the command says so. For names to be found the namespace has
to ask the gateway: its /etc/resolv.conf says nameserver 192.168.65.1. It runs until the process
or the namespace's name is gone, Ctrl-C, SIGTERM or `sampan net shutdown`.
"""
MTU = 65520
LOOK_S = 1.0  # how often it is looked whether a name is still there
_NAMED = Path("/run/netns")


@click.command("attach", epilog=_EPILOG)
@click.option("--netns", "target", required=True, metavar="PID|PATH|NAME", help="Which namespace.")
@click.option("--tap-name", default="tap0", show_default=True, metavar="NAME",
              help="What the device is called there.")  # fmt: skip
@click.option("--configure/--no-configure", default=True, show_default=True,
              help="Give it an address and the default route; else a DHCP client may.")  # fmt: skip
@click.option("--mac", metavar="MAC", help="The device's.  [default: made of the namespace's name]")
@click.option("--name", metavar="NAME",
              help="What the network is called, for the other commands.  [default: ns-PID or NAME]")  # fmt: skip
@click.option("--control", type=click.Path(path_type=Path), metavar="PATH",
              help="Where its control socket is.  [default: in the runtime folder, by its name]")  # fmt: skip
@click.option("--hooks", type=click.Path(path_type=Path), metavar="FILE",
              help="Python functions that watch and change what passes.")  # fmt: skip
@click.option("--capture", metavar="FILE", help="Write all frames, for Wireshark.")
@click.option("--ready-fd", type=int, metavar="N",
              help="Write 1 to this descriptor, and close it, once the device is there.")  # fmt: skip
@click.option("--exit-fd", type=int, metavar="N", help="End when this descriptor is hung up.")
@setting.options
@click.pass_obj
def command(
    settings: Settings,
    target: str,
    tap_name: str,
    configure: bool,
    mac: str | None,
    name: str | None,
    control: Path | None,
    hooks: Path | None,
    capture: str | None,
    ready_fd: int | None,
    exit_fd: int | None,
    wanted: dict[str, object],
) -> None:
    """Connect a network namespace, as slirp4netns and pasta do."""
    where = find(target)
    name = name or (f"ns-{where}" if isinstance(where, int) else where.name)
    path = control.absolute() if control is not None else place.socket(name)
    wanted = {"mtu": MTU, **wanted}
    interface, network_settings = _plan(wanted, tap_name, mac or _mac(name), configure=configure)
    ended = threading.Event()
    with ExitStack() as stack:
        network = stack.enter_context(serve.started(network_settings, hooks))
        plugged = stack.enter_context(_attached(network, where, interface, name, ended))
        stack.enter_context(_watched(where, exit_fd, ended))
        controlled = stack.enter_context(
            serve.controlled_at(
                network, path, name=name, listens=(plugged,), capture=capture, ended=ended
            )
        )
        running = serve.Running(
            name=name,
            control=path,
            links=(plugged,),
            examples=(_example(where, network),),
            forwards=tuple(map(str, network.call(lambda _: controlled.forwards()))),
        )
        serve.run(settings, running, ready_fd, ended, network)


def find(target: str) -> int | Path:
    """The process or path that `target` names.

    Raises:
        UsageError: neither is there.
    """
    if target.isascii() and target.isdigit():
        return int(target)
    path = Path(target) if "/" in target else _NAMED / target
    if not path.exists():
        raise UsageError(
            f"there is no network namespace {target}",
            hint="name a process by its number, a path, or what ip netns list shows",
        )
    return path


def _mac(name: str) -> str:
    """Always the same for a name, and locally administered."""
    return (b"\x02" + hashlib.sha256(name.encode()).digest()[:5]).hex(":")


def _plan(
    wanted: dict[str, object], tap_name: str, mac: str, *, configure: bool
) -> tuple[Interface, net_setting.Settings]:
    """The device, and the network with its address kept for it.

    Raises:
        UsageError: what is wanted makes no sense.
    """
    import msgspec

    from sampan.net.runtime.attach.netns import Interface
    from sampan.net.setting import Fixed, addresses
    from sampan.net.wire.address import format_ip, parse_mac

    settings = setting.build(wanted)
    try:
        raw = parse_mac(mac)
    except ValueError:
        raise UsageError(f"--mac {mac}: not a MAC address") from None
    if raw[0] & 1 or not any(raw):
        raise UsageError(f"--mac {mac}: not the address of a single card")
    found = addresses(settings)
    interface = Interface(name=tap_name, mac=raw, mtu=settings.mtu)
    if not configure:
        return interface, settings
    fixed = next((each for each in settings.fixed if parse_mac(each.mac) == raw), None)
    if fixed is None:
        fixed = Fixed(mac=mac, address=format_ip(found.lowest))
        settings = msgspec.structs.replace(settings, fixed=(*settings.fixed, fixed))
    found = addresses(settings)
    return (
        msgspec.structs.replace(
            interface,
            address=dict(found.fixed)[raw],
            prefix_length=found.prefix_length,
            gateway=found.gateway,
        ),
        settings,
    )


@contextmanager
def _attached(
    network: UserNetwork,
    where: int | Path,
    interface: Interface,
    name: str,
    ended: threading.Event,
) -> Iterator[str]:
    from sampan.net.runtime.attach import netns

    link = netns.attach(where, interface)

    def plug(assembly: Assembly) -> None:
        assembly.plug(link, name=name).when_lost = ended.set

    network.call(plug)
    yield f"tap:{interface.name} of {where}"


@contextmanager
def _watched(where: int | Path, exit_fd: int | None, ended: threading.Event) -> Iterator[None]:
    """Set `ended` once the process, the name or the other end of `exit_fd` is gone."""
    wake, stop = os.pipe()
    process = os.pidfd_open(where) if isinstance(where, int) else None
    path = where if isinstance(where, Path) else None

    def watch() -> None:
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        if process is not None:
            poll.register(process, select.POLLIN)
        if exit_fd is not None:
            poll.register(exit_fd, 0)  # POLLHUP and POLLERR are always told
        while not poll.poll(LOOK_S * 1000 if path is not None else None):
            if path is not None and not path.exists():
                break
        ended.set()

    thread = threading.Thread(target=watch, name="sampan-net-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.close(stop)
        thread.join()
        os.close(wake)
        if process is not None:
            os.close(process)


def _example(where: int | Path, network: UserNetwork) -> str:
    """How to enter the namespace, in that of its user, too, for who is not root."""
    if isinstance(where, int):
        user = "" if os.geteuid() == 0 else " --user --preserve-credentials"
        enter = f"--target {where}{user} --net"
    else:
        enter = f"--net={where}"
    gateway = network.call(lambda each: each.addresses.gateway)
    return f"nsenter {enter} …   (names: nameserver {'.'.join(map(str, gateway))})"
