"""The agent for other processes: a client's session joined with the link, channel by channel.

A client speaks the protocol of `sampan.base.agent` to us as if we were the agent. Its channels
become channels of the one link there is; bytes, notes and answers go through as they are, and so
do the permissions to send more: no more of a channel is in memory here than its window.
"""

from __future__ import annotations

from collections.abc import Callable

from sampan.base.agent import session
from sampan.base.agent.session import Event, Server
from sampan.errors import SampanError
from sampan.machine.agent.link import Link

_REFUSED = b'{"error":"no agent answers in the machine"}'


class Relay:
    """One client, which is sent bytes with `write`; tell it `received` and, at last, `close`."""

    def __init__(self, link: Link, write: Callable[[bytes], None]) -> None:
        self._link = link
        self._write = write
        self._session = Server()
        self._relayed: dict[int, _Relayed] = {}  # by the client's number

    def received(self, data: bytes) -> None:
        """The client said this."""
        self._session.received(data)
        for event in self._session.events():
            self._obey(event)
        self.flush()

    def close(self) -> None:
        """The client has gone: what it began ends."""
        for each in list(self._relayed.values()):
            self._link.reset(each.number)
        self._relayed.clear()

    def flush(self) -> None:
        """Send the client what there is for it."""
        data = self._session.data_to_send()
        if data:
            self._write(data)

    def _obey(self, event: Event) -> None:
        if event.kind == session.UP:
            self._session.welcome(self._link.info)
        elif event.kind == session.DOWN:
            self.close()
        elif event.kind == session.OPENED:
            self._open(event.channel, event.data)
        else:
            each = self._relayed.get(event.channel)
            if each is not None:
                self._pass_on(each, event)

    def _open(self, channel: int, body: bytes) -> None:
        each = _Relayed(self, self._session, channel)
        try:
            each.number = self._link.open(body, each)
        except SampanError:
            self._session.answer(channel, _REFUSED)
        else:
            self._relayed[channel] = each

    def _pass_on(self, each: _Relayed, event: Event) -> None:
        link, number = self._link, each.number
        if event.kind == session.RECEIVED:
            each.input += event.data
            each.send(link)
        elif event.kind == session.ENDED:
            each.is_input_ended = True
            each.send(link)
        elif event.kind == session.ROOM:
            link.consumed(number, event.size)
        elif event.kind == session.NOTED:
            link.note(number, event.data)
        elif event.kind == session.RESET:
            self.forget(each.channel)
            link.reset(number)

    def forget(self, channel: int) -> None:
        """A channel is over."""
        self._relayed.pop(channel, None)

    def go_on(self, each: _Relayed) -> None:
        """The agent takes more of a channel."""
        each.send(self._link)


class _Relayed:
    """A channel of the client, `channel`, that is `number` of the link: its owner there."""

    def __init__(self, relay: Relay, client: Server, channel: int) -> None:
        self._relay = relay
        self._client = client
        self.channel = channel
        self.number = 0
        self.input = bytearray()  # what the transport to the machine had no room for
        self.is_input_ended = False

    def send(self, link: Link) -> None:
        """Pass the client's bytes on, as far as they are taken."""
        while self.input and link.room(self.number):
            size = link.send(self.number, 0, bytes(self.input))
            del self.input[:size]
        if self.is_input_ended and not self.input:
            self.is_input_ended = False
            link.end(self.number, 0)

    def happened(self, event: Event) -> None:
        """See `Owner`."""
        client, channel = self._client, self.channel
        if event.kind == session.RECEIVED:
            client.send(channel, event.stream, event.data)
        elif event.kind == session.ENDED:
            client.end(channel, event.stream)
        elif event.kind == session.NOTED:
            client.note(channel, event.data)
        elif event.kind == session.ROOM:
            client.consumed(channel, event.size)
            self._relay.go_on(self)
        elif event.kind == session.ANSWERED:
            client.answer(channel, event.data)
            self._relay.forget(channel)
        elif event.kind == session.RESET:
            client.reset(channel)
            self._relay.forget(channel)
        self._relay.flush()

    def lost(self, why: str) -> None:
        """See `Owner`."""
        self._client.answer(self.channel, _broken(why))
        self._relay.forget(self.channel)
        self._relay.flush()


def _broken(why: str) -> bytes:
    import msgspec

    text = f"the conversation with the agent broke off: {why}"[:1000]
    return msgspec.json.encode({"error": text})
