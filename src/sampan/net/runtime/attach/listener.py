"""A Unix socket where machines connect: each connection becomes a link of its own.

It is open to its owner only. What speaks on the connections is the business of `link_of`:
`stream_link` for QEMU. HyperKit's machines shake hands first, see `attach.vmnet`.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from sampan.base import acceptor
from sampan.base.acceptor import Acceptor
from sampan.base.loop import Loop
from sampan.net.link.stream import QEMU, Framing
from sampan.net.runtime.attach.stream import stream_link
from sampan.net.runtime.engine import Link, Plug

Join: TypeAlias = Callable[[Link, str], Plug]
"""Plugs a link in under a name: `Engine.plug`, with what is known of the network's links."""


def listen_links(
    loop: Loop, path: Path, link_of: Callable[[socket.socket], Link], join: Join, name: str
) -> Acceptor:
    """Make a link of each connection at `path`, called `name` (or as the file), NAME-2 and so on.

    Raises:
        SampanError: it cannot listen there.
    """
    base, count = name or path.stem, 0

    def take(connection: socket.socket) -> None:
        nonlocal count
        count += 1
        link = link_of(connection)
        try:
            join(link, base if count == 1 else f"{base}-{count}")
        except BaseException:
            link.close()
            raise

    return acceptor.listen(loop, path, take)


def listen_stream(
    loop: Loop, path: Path, join: Join, *, name: str = "", framing: Framing = QEMU
) -> Acceptor:
    """Let machines connect at `path`; their links are called NAME, NAME-2 and so on.

    Raises:
        SampanError: it cannot listen there.
    """
    return listen_links(loop, path, partial(stream_link, framing=framing), join, name)
