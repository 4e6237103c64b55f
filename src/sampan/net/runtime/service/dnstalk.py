"""Questions of a machine on a TCP connection of its own to port 53 (RFC 7766).

Answers go out as they come, in any order. A machine that has finished still gets the answers
to what it asked; one that says nothing for `IDLE_S` is left.
"""

from __future__ import annotations

from typing import Protocol

from sampan.base.loop import Loop
from sampan.net.runtime.channel import Conversation
from sampan.net.services.dnsmodel import Client
from sampan.net.services.dnsstream import Decoder, frame

IDLE_S = 30.0


class Server(Protocol):
    """Who answers."""

    def query(self, data: bytes, client: Client, now: float) -> None:
        """A machine asks; `DnsTalk.reply` is called with the answer, if there is one."""

    def talk_ended(self, number: int) -> None:
        """The connection of this number is over."""


class DnsTalk:
    """Questions of a machine over TCP (RFC 7766)."""

    def __init__(
        self, service: Server, loop: Loop, conversation: Conversation, number: int
    ) -> None:
        self._service = service
        self._conversation = conversation
        self._loop = loop
        self._number = number
        self._decoder = Decoder()
        self._open = 0
        self._is_finished = False
        self._until = self._loop.now() + IDLE_S
        self._timer = self._loop.call_at(self._until, self._look)

    def received(self, data: bytes) -> None:
        """See `channel.Talk`."""
        now = self._loop.now()
        self._until = now + IDLE_S
        flow = self._conversation.flow
        client = Client(*flow.guest, over_tcp=True, connection=self._number, link=flow.port.number)
        for message in self._decoder.received(data):
            self._open += 1
            self._service.query(message, client, now)

    def reply(self, data: bytes) -> None:
        """An answer is there."""
        self._open -= 1
        self._until = self._loop.now() + IDLE_S
        self._conversation.write(frame(data))
        self._close_if_done()

    def finished(self) -> None:
        """See `channel.Talk`: what was asked is still answered."""
        self._is_finished = True
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_finished and self._open <= 0:
            self._conversation.close()

    def _look(self) -> None:
        """End the conversation if nothing was said for a while."""
        if self._until > self._loop.now():
            self._timer = self._loop.call_at(self._until, self._look)
        else:
            self._conversation.close()

    def gone(self) -> None:
        """See `channel.Talk`."""
        self._timer.cancel()
        self._service.talk_ended(self._number)
