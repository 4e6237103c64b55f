"""`--listen KIND:PATH`: where machines connect, and how to tell them.

Each kind makes one link, or one for each machine that connects.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from sampan.errors import UsageError

if TYPE_CHECKING:
    from sampan.net.link.vmnet import Command, Vif
    from sampan.net.runtime.assembly import Assembly
    from sampan.net.runtime.engine import Link, Plug

_CARD = "-device virtio-net-pci,netdev=net0"
_WITHOUT_KVM = ",vectors=0"  # QEMU 7.2 crashes without it, unless it runs with KVM
_STDIO = "stdio"


class Listen(msgspec.Struct, frozen=True):
    """One place. `path` is a socket's, a device's name for `tap`, empty for `stdio`."""

    kind: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}" if self.path else self.kind

    @property
    def name(self) -> str:
        """What its link is called."""
        return Path(self.path).stem if self.path else self.kind


class _Kind(NamedTuple):
    """`begin` makes the link and returns what ends it; `example` says how to connect."""

    begin: Callable[[Assembly, Listen, Callable[[], None]], Callable[[], None]]
    example: Callable[[str], str]
    is_socket: bool = True


def parse(text: str) -> Listen:
    """The place that `text` describes; paths become absolute.

    Raises:
        UsageError: it is of no kind, or has no path.
    """
    kind, colon, path = text.partition(":")
    found = KINDS.get(kind)
    if found is None or (not path and kind != _STDIO) or (colon and kind == _STDIO):
        raise UsageError(
            f"--listen {text}: no place where machines could connect",
            hint=f"say KIND:PATH with one of {', '.join(sorted(KINDS))}; or stdio",
        )
    return Listen(kind, str(Path(path).absolute()) if found.is_socket else path)


def begin(assembly: Assembly, listen: Listen, ended: Callable[[], None]) -> Callable[[], None]:
    """Let machines connect; in the loop's thread. `ended` is called if it can be used no more.

    Returns:
        What ends it.

    Raises:
        SampanError: it cannot be.
    """
    return KINDS[listen.kind].begin(assembly, listen, ended)


def example(listen: Listen) -> str:
    """How a machine connects there: arguments of QEMU or another program, as for a shell."""
    return KINDS[listen.kind].example(listen.path)


def _qemu(assembly: Assembly, listen: Listen, _: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.listener import listen_stream

    loop, path = assembly.engine.loop, Path(listen.path)
    return listen_stream(loop, path, _joining(assembly), name=listen.name).close


def _joining(assembly: Assembly) -> Callable[[Link, str], Plug]:
    def join(link: Link, name: str) -> Plug:
        return assembly.plug(link, name=name)

    return join


def _hyperkit(assembly: Assembly, listen: Listen, _: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.vmnet import listen_vmnet

    def grant(command: Command) -> Vif | str:
        return _grant(assembly, command)

    def join(link: Link, name: str, mac: bytes) -> Plug:
        return assembly.plug(link, name=name, mac=mac)

    return listen_vmnet(assembly.engine.loop, Path(listen.path), grant, join).close


def _grant(assembly: Assembly, command: Command) -> Vif | str:
    """A UUID's card: always the same MAC, and the address that it prefers, if that is free."""
    from sampan.net.link.vmnet import Vif

    mac = b"\x02" + hashlib.sha256(command.identity.bytes).digest()[:5]
    if command.preferred:
        try:
            assembly.dhcp.fix(mac, command.preferred)
        except UsageError as error:
            return error.message
    return Vif(mtu=assembly.settings.mtu, mac=mac)


def _dgram(assembly: Assembly, listen: Listen, ended: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.datagram import datagram_link

    return _plugged(assembly, datagram_link(Path(listen.path)), listen, ended)


def _vhost(assembly: Assembly, listen: Listen, _: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.vhost import listen_vhost

    loop, path = assembly.engine.loop, Path(listen.path)
    return listen_vhost(loop, path, _joining(assembly), name=listen.name).close


def _tap(assembly: Assembly, listen: Listen, ended: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.tap import TapLink, open_tap

    return _plugged(assembly, TapLink(open_tap(listen.path)), listen, ended)


def _stdio(assembly: Assembly, listen: Listen, ended: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.stdio import stdio_link

    try:
        return _plugged(assembly, stdio_link(), listen, ended)
    except OSError as error:
        raise UsageError(
            f"--listen stdio: cannot wait for frames there: {error.strerror}",
            hint="stdin and stdout have to be pipes or sockets, not files",
        ) from error


def _plugged(
    assembly: Assembly, link: Link, listen: Listen, ended: Callable[[], None]
) -> Callable[[], None]:
    plug = assembly.plug(link, name=listen.name)
    plug.when_lost = ended

    def end() -> None:
        plug.when_lost = None
        assembly.unplug(plug)

    return end


def _for_qemu_stream(path: str) -> str:
    where = shlex.quote(f"stream,id=net0,server=off,addr.type=unix,addr.path={_escaped(path)}")
    return f"qemu-system-x86_64 … -netdev {where} {_CARD}"


def _for_qemu_dgram(path: str) -> str:
    own = _escaped(f"{path}.vm")
    where = shlex.quote(
        f"dgram,id=net0,local.type=unix,local.path={own},"
        f"remote.type=unix,remote.path={_escaped(path)}"
    )
    return f"qemu-system-x86_64 … -netdev {where} {_CARD}"


def _for_qemu_vhost(path: str) -> str:
    return (
        "qemu-system-x86_64 … -m 1G -object memory-backend-memfd,id=mem0,size=1G,share=on "
        f"-machine memory-backend=mem0 -chardev {shlex.quote(f'socket,id=char0,path={_escaped(path)}')} "
        f"-netdev vhost-user,id=net0,chardev=char0 {_CARD}{_WITHOUT_KVM}"
    )


def _escaped(path: str) -> str:
    return path.replace(",", ",,")  # QEMU's way


KINDS = {
    "qemu": _Kind(_qemu, _for_qemu_stream),
    "dgram": _Kind(_dgram, _for_qemu_dgram),
    "vhost-user": _Kind(_vhost, _for_qemu_vhost),
    "vfkit": _Kind(
        _dgram, lambda path: f"vfkit … --device {shlex.quote(f'virtio-net,unixSocketPath={path}')}"
    ),
    "hyperkit": _Kind(
        _hyperkit, lambda path: f"hyperkit … -s {shlex.quote(f'2:0,virtio-vpnkit,path={path}')}"
    ),
    "tap": _Kind(_tap, lambda name: f"ip link set {name} up && dhclient {name}", is_socket=False),
    _STDIO: _Kind(
        _stdio,
        lambda _: "whoever started this speaks frames on its stdin and stdout",
        is_socket=False,
    ),
}
