"""Where machines come in: `KIND:PATH`, made while a network runs, and ended.

Each kind makes one link, or one for each machine that connects. Belongs to the loop's thread.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from sampan.errors import UsageError
from sampan.net.link.vmnet import Command, Vif
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.engine import Link, Plug

STDIO = "stdio"


class Entrance(msgspec.Struct, frozen=True):
    """One of them. `path` is a socket's, a device's name for `tap`, empty for `stdio`."""

    kind: str
    path: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.path}" if self.path else self.kind

    @property
    def name(self) -> str:
        """What its link is called."""
        return Path(self.path).stem if self.path else self.kind


class _Kind(NamedTuple):
    """`begin` makes the link and returns what ends it."""

    begin: Callable[[Assembly, Entrance, Callable[[], None]], Callable[[], None]]
    is_socket: bool = True


def parse(text: str) -> Entrance:
    """What `text` describes; paths of sockets become absolute.

    Raises:
        UsageError: it is of no kind, or has no path.
    """
    kind, colon, path = text.partition(":")
    found = KINDS.get(kind)
    if found is None or (not path and kind != STDIO) or (colon and kind == STDIO):
        kinds = ", ".join(sorted(KINDS.keys() - {STDIO}))
        raise UsageError(
            f"{text[:200]!r} is no place where machines could connect",
            hint=f"say KIND:PATH with one of {kinds}; or stdio",
        )
    return Entrance(kind, str(Path(path).absolute()) if found.is_socket else path)


def begin(assembly: Assembly, entrance: Entrance, ended: Callable[[], None]) -> Callable[[], None]:
    """Let machines connect; in the loop's thread. `ended` is called if it can be used no more.

    Returns:
        What ends it.

    Raises:
        SampanError: it cannot be.
    """
    return KINDS[entrance.kind].begin(assembly, entrance, ended)


def _qemu(assembly: Assembly, entrance: Entrance, _: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.listener import listen_stream

    loop, path = assembly.engine.loop, Path(entrance.path)
    return listen_stream(loop, path, _joining(assembly), name=entrance.name).close


def _joining(assembly: Assembly) -> Callable[[Link, str], Plug]:
    def join(link: Link, name: str) -> Plug:
        return assembly.plug(link, name=name)

    return join


def _hyperkit(assembly: Assembly, entrance: Entrance, _: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.vmnet import listen_vmnet

    def grant(command: Command) -> Vif | str:
        return _grant(assembly, command)

    def join(link: Link, name: str, mac: bytes) -> Plug:
        return assembly.plug(link, name=name, mac=mac)

    return listen_vmnet(assembly.engine.loop, Path(entrance.path), grant, join).close


def _grant(assembly: Assembly, command: Command) -> Vif | str:
    """A UUID's card: always the same MAC, and the address that it prefers, if that is free."""
    mac = b"\x02" + hashlib.sha256(command.identity.bytes).digest()[:5]
    if command.preferred:
        try:
            assembly.dhcp.fix(mac, command.preferred)
        except UsageError as error:
            return error.message
    return Vif(mtu=assembly.settings.mtu, mac=mac)


def _dgram(assembly: Assembly, entrance: Entrance, ended: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.datagram import datagram_link

    return _plugged(assembly, datagram_link(Path(entrance.path)), entrance, ended)


def _vhost(assembly: Assembly, entrance: Entrance, _: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.vhost import listen_vhost

    loop, path = assembly.engine.loop, Path(entrance.path)
    return listen_vhost(loop, path, _joining(assembly), name=entrance.name).close


def _tap(assembly: Assembly, entrance: Entrance, ended: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.tap import TapLink, open_tap

    return _plugged(assembly, TapLink(open_tap(entrance.path)), entrance, ended)


def _stdio(assembly: Assembly, entrance: Entrance, ended: Callable[[], None]) -> Callable[[], None]:
    from sampan.net.runtime.attach.stdio import stdio_link

    try:
        return _plugged(assembly, stdio_link(), entrance, ended)
    except OSError as error:
        raise UsageError(
            f"stdio: cannot wait for frames there: {error.strerror}",
            hint="stdin and stdout have to be pipes or sockets, not files",
        ) from error


def _plugged(
    assembly: Assembly, link: Link, entrance: Entrance, ended: Callable[[], None]
) -> Callable[[], None]:
    plug = assembly.plug(link, name=entrance.name)
    plug.when_lost = ended

    def end() -> None:
        plug.when_lost = None
        assembly.unplug(plug)

    return end


KINDS = {
    "qemu": _Kind(_qemu),
    "dgram": _Kind(_dgram),
    "vhost-user": _Kind(_vhost),
    "vfkit": _Kind(_dgram),
    "hyperkit": _Kind(_hyperkit),
    "tap": _Kind(_tap, is_socket=False),
    STDIO: _Kind(_stdio, is_socket=False),
}
