"""How frames come from a machine to a network of ours: the two ends, joined.

What the hypervisor needs to know is a descriptor or a path. QEMU takes streams and shared
memory; vfkit datagrams; HyperKit VPNKit's protocol.
"""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.base import unixsocket
from sampan.machine.model import MachineSpec, Network
from sampan.machine.state import runtime_root

if TYPE_CHECKING:
    from sampan.net.runtime.assembly import Assembly
    from sampan.net.runtime.engine import Link as EngineLink
    from sampan.net.runtime.engine import Plug
    from sampan.net.runtime.usernet import UserNetwork


_SOCKET_NAME = re.compile(r"net-([0-9a-f]{1,8})-[0-9a-f]{6}")


class Link(StrEnum):
    """How frames come to a network of ours."""

    STREAM = "stream"
    VHOST_USER = "vhost-user"  # in the guest's memory
    DATAGRAM = "datagram"
    VPNKIT = "vpnkit"

    @property
    def network(self) -> Network:
        """What a machine's spec says of it."""
        return Network(self.value)


# several times as fast (bench/RESULTS.md); sharing memory that way takes Linux
DEFAULT_LINK = Link.VHOST_USER if sys.platform == "linux" else Link.STREAM


def mac_of(spec: MachineSpec) -> bytes:
    """The machine's address as bytes."""
    return bytes.fromhex(spec.mac.replace(":", ""))


@contextmanager
def attached(
    network: UserNetwork, spec: MachineSpec, link: Link, preferred: Path | None
) -> Iterator[Path]:
    """Let one machine connect to `network`, by a link that has a path, which this gives.

    `preferred` is where sockets live, as of `machine.LaunchOptions`.

    Raises:
        SampanError: there cannot be a socket.
    """
    root = runtime_root(preferred)
    _sweep(root)
    path = root / f"net-{os.getpid():x}-{secrets.token_hex(3)}"
    opened = _OPENED[link]
    close = network.call(lambda inner: opened(inner, spec, path))
    try:
        yield path
    finally:
        network.call(lambda _: close())


def _sweep(root: Path) -> None:
    """Remove the sockets of processes that were killed.

    Only where the process in the name is gone is it asked whether somebody answers: to ask is to
    connect, which is the machine's business.
    """
    for path in root.iterdir():
        named = _SOCKET_NAME.fullmatch(path.name)
        if named and not _is_there(int(named[1], 16)) and not unixsocket.is_served(path):
            path.unlink(missing_ok=True)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _vhost(network: Assembly, spec: MachineSpec, path: Path) -> Callable[[], None]:
    from sampan.net.runtime.attach.vhost import listen_vhost

    def join(link: EngineLink, name: str) -> Plug:
        return network.plug(link, name=name, mac=mac_of(spec))

    return listen_vhost(network.engine.loop, path, join, name=spec.name).close


def _vmnet(network: Assembly, spec: MachineSpec, path: Path) -> Callable[[], None]:
    """Whoever connects is the machine, and gets its address, whatever UUID it says."""
    from sampan.net.link.vmnet import Vif
    from sampan.net.runtime.attach.vmnet import listen_vmnet

    card = Vif(mtu=network.settings.mtu, mac=mac_of(spec))

    def join(link: EngineLink, _: str, mac: bytes) -> Plug:
        return network.plug(link, name=spec.name, mac=mac)

    return listen_vmnet(network.engine.loop, path, lambda _: card, join).close


def _datagrams(network: Assembly, spec: MachineSpec, path: Path) -> Callable[[], None]:
    from sampan.net.runtime.attach.datagram import datagram_link

    link = datagram_link(path)
    plug = network.plug(link, name=spec.name, mac=mac_of(spec))

    def close() -> None:
        network.unplug(plug)
        link.close()

    return close


_OPENED: dict[Link, Callable[[Assembly, MachineSpec, Path], Callable[[], None]]] = {
    Link.VHOST_USER: _vhost, Link.VPNKIT: _vmnet, Link.DATAGRAM: _datagrams,
}  # fmt: skip
