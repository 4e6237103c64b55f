"""A machine that may ask its network for ports of the host, as VPNKit's machines do.

    with answering(network, endpoint.folder / "00000002.00001002", dial, Allowed.LOOPBACK):
        ...

The machine's programs reach the socket through vsock; `dial` reaches its forwarder the other way.
The ports are the network's forwards like all others, and end with the block.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sampan.base.loop import LoopClosedError
from sampan.net.runtime.assembly import Assembly
from sampan.net.runtime.control import vpnkit
from sampan.net.runtime.control.server import Server
from sampan.net.runtime.forward.asked import AskedForwards
from sampan.net.runtime.forward.line import Dialled
from sampan.net.runtime.forward.multiplexed import MultiplexedForwards
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.services.portcontrol import Allowed


@contextmanager
def answering(
    network: UserNetwork, path: Path, dial: Callable[[], socket.socket], allowed: Allowed
) -> Iterator[AskedForwards]:
    """Answer what a machine asks at the socket `path`, for as long as the block lasts.

    The block is given what was asked for, which belongs to the network's thread.

    `dial` gives a stream to the machine's forwarder; it is called in a thread where it may block.

    Raises:
        SampanError: the socket cannot be made.
    """

    def begin(assembly: Assembly) -> tuple[AskedForwards, Callable[[], None]]:
        loop = assembly.engine.loop
        forwards = MultiplexedForwards(loop, Dialled(loop, dial))
        asked = AskedForwards(forwards, allowed)
        server = Server(loop, path, vpnkit.table(asked).answer)
        assembly.lead(forwards)

        def end() -> None:
            server.close()
            assembly.lead_no_more(forwards)

        return asked, end

    asked, end = network.call(begin)
    try:
        yield asked
    finally:
        try:
            network.call(lambda _: end())
        except LoopClosedError:  # its thread is over: this one may
            end()
