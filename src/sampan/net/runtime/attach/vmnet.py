"""HyperKit's Ethernet ("vmnet"): machines connect, say who they are, and are given a card.

    connect → Init ⇄ Init → Command (a UUID) → Vif (MAC, MTU), or a reason why not → frames

The UUID keeps its MAC from one connection to the next: that is for `grant` to see to, which
answers each command. The handshake itself is `net.link.vmnet`'s.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from sampan.base import acceptor, log
from sampan.base.acceptor import Acceptor
from sampan.base.loop import Loop
from sampan.base.poller import READ
from sampan.net.link import vmnet
from sampan.net.link.error import LinkError
from sampan.net.link.stream import VMNET
from sampan.net.link.vmnet import Command, Vif
from sampan.net.runtime.attach.stream import stream_link
from sampan.net.runtime.engine import Link, Plug

Grant: TypeAlias = Callable[[Command], Vif | str]
"""Which card the machine gets; or why it gets none."""
Join: TypeAlias = Callable[[Link, str, bytes], Plug]
"""Plugs a link in under a name, for the one MAC that it may use."""

HANDSHAKE_S = 10.0
MAX_GREETING = 4096
_log = log.get(__name__)


def listen_vmnet(loop: Loop, path: Path, grant: Grant, join: Join) -> Acceptor:
    """Let machines connect at `path`.

    Raises:
        SampanError: it cannot listen there.
    """
    return acceptor.listen(loop, path, lambda made: _Greeting(loop, made, grant, join))


class _Greeting:
    """A connection until its machine has a card."""

    def __init__(self, loop: Loop, connection: socket.socket, grant: Grant, join: Join) -> None:
        self._loop = loop
        self._socket = connection
        self._grant = grant
        self._join = join
        self._server = vmnet.Server()
        self._timer = loop.call_at(loop.now() + HANDSHAKE_S, self._too_late)
        loop.watch(connection.fileno(), READ, self._ready)

    def _ready(self, _: int) -> None:
        try:
            data = self._socket.recv(MAX_GREETING)
            if not data:
                raise LinkError("it hung up before it said who it is")
            out, command = self._server.received(data)
            if out:
                self._socket.send(out)
            if command is not None:
                self._answer(command)
        except BlockingIOError:
            return
        except (LinkError, OSError) as error:
            self._end(str(error))
        except Exception:  # the loop tells of it
            self._end("a fault of ours")
            raise

    def _answer(self, command: Command) -> None:
        granted = self._grant(command)
        if isinstance(granted, str):
            self._socket.send(vmnet.refusal(granted))
            self._end(granted)
            return
        self._socket.send(granted.emit())
        self._timer.cancel()
        self._loop.unwatch(self._socket.fileno())
        link = stream_link(self._socket, VMNET, self._server.rest)
        try:
            self._join(link, str(command.identity), granted.mac)
        except BaseException:
            link.close()
            raise

    def _too_late(self) -> None:
        self._end("it did not say who it is in time")

    def _end(self, why: str) -> None:
        self._timer.cancel()
        if self._socket.fileno() >= 0:
            _log.info("a machine is turned away: %s", why)
            self._loop.unwatch(self._socket.fileno())
            self._socket.close()
