"""The host's end of the agent's channel: a session on a socket, and who has which channel of it.

What comes is handed to the owner of its channel as events (`sampan.base.agent.session`). Nothing
here reads what is said; `channel` does. When a session breaks off, all owners are told, and the
next one begins by itself; while nobody answers the greeting is said again now and then, because
a machine that went back to an earlier state may have forgotten it.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Protocol, cast

from sampan.base import log
from sampan.base.agent import session, wire
from sampan.base.agent.session import Caller, ChannelLimitError, Event
from sampan.machine.agent.error import AgentError, AgentLostError, NoAgentError
from sampan.machine.bell import Bell
from sampan.machine.view.event import AgentDown
from sampan.machine.view.event import Event as MachineEvent

_log = log.get(__name__)
_GREET_AGAIN_S = 5.0
_OUT_BYTES = 64 << 10  # of ours that may wait in the transport before it asks us to wait
MAX_INFO = 4 << 10


class Owner(Protocol):
    """Who has a channel."""

    def happened(self, event: Event) -> None:
        """An event of the channel; after `ANSWERED` and `RESET` there are no others."""

    def lost(self, why: str) -> None:
        """The session is over, and the channel with it."""


class Link:
    """A conversation with the agent of one machine, whatever process runs that.

    Each process has a `Plug`; the link is connected to the one that came last.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._session = Caller(lambda: secrets.token_bytes(wire.NONCE_BYTES))
        self._owners: dict[int, Owner] = {}
        self._plugs: list[Plug] = []
        self._again: asyncio.TimerHandle | None = None
        self._bell = Bell()
        self._is_paused = False
        self._why_down = ""
        self.is_ended = False
        self.info = b""

    @property
    def is_up(self) -> bool:
        """Whether the agent answers."""
        return self._session.is_up

    async def up(self, deadline_s: float | None) -> None:
        """Wait until the agent answers; for ever, if `deadline_s` is None.

        Raises:
            NoAgentError: it does not, within `deadline_s`.
        """
        try:
            async with asyncio.timeout(deadline_s):
                while not self.is_up:
                    if self.is_ended:
                        raise NoAgentError("no agent answers: the machine has ended")
                    await self._bell.wait()
        except TimeoutError:
            raise self.absent(deadline_s or 0.0) from None

    def absent(self, waited_s: float) -> NoAgentError:
        """The error for an agent that has not answered."""
        why = f"; the last one was lost: {self._why_down}" if self._why_down else ""
        return NoAgentError(
            f"no agent answers in the machine after {waited_s:g} s{why}",
            hint="has its system the service sampan/agent, and has that started?",
        )

    def open(self, body: bytes, owner: Owner) -> int:
        """Open a channel for `owner`; its number.

        Raises:
            AgentError: there are too many, or what is called is too long.
            NoAgentError: no agent answers.
        """
        if not self.is_up:
            raise NoAgentError("no agent answers in the machine")
        if len(body) > wire.MAX_PAYLOAD:
            raise AgentError(f"a call of {len(body)} bytes is too long for the agent")
        try:
            number = self._session.open(body)
        except ChannelLimitError:
            raise AgentError("too many calls at once for the agent") from None
        self._owners[number] = owner
        self._flush()
        return number

    def room(self, channel: int) -> int:
        """How many bytes can be sent in a channel now."""
        return 0 if self._is_paused else self._session.room(channel)

    def send(self, channel: int, stream: int, data: bytes) -> int:
        """Send what there is room for; how much that is."""
        size = self._session.send(channel, stream, data)
        self._flush()
        return size

    def end(self, channel: int, stream: int) -> None:
        """Say that nothing more comes in a stream."""
        self._session.end(channel, stream)
        self._flush()

    def note(self, channel: int, body: bytes) -> None:
        """Say something beside the streams."""
        self._session.note(channel, body)
        self._flush()

    def consumed(self, channel: int, size: int) -> None:
        """So much of what came is out of memory."""
        self._session.consumed(channel, size)
        self._flush()

    def reset(self, channel: int) -> None:
        """End a channel; its owner hears nothing more."""
        self._owners.pop(channel, None)
        self._session.reset(channel)
        self._flush()

    def begin(self, why: str) -> None:
        """Begin a new session: the machine is known to have gone to another state."""
        if not self.is_ended:
            self._session.hello(why)
            self._dispatch()
            self._flush()

    def close(self) -> None:
        """Leave."""
        for plug in self._plugs:
            plug.transport.close()

    def heard(self, event: MachineEvent) -> None:
        """Something happened to the machine; that its agent has gone ends the session at once."""
        if isinstance(event, AgentDown) and self.is_up:
            self.begin("the agent in the machine has ended")

    def plugged(self, plug: Plug) -> None:
        """A process that runs the machine, or is about to, is connected."""
        self._plugs.append(plug)
        self._switch("the machine went on in another process")

    def unplugged(self, plug: Plug) -> None:
        """A process has ended; one that came before it may go on."""
        was_last = plug is self._plugs[-1]
        self._plugs.remove(plug)
        if was_last and self._plugs:
            self._switch("the machine went back to the process it was in")
        elif was_last:
            self.is_ended = True
            if self._again is not None:
                self._again.cancel()
            self._session.hello()
            self._session.data_to_send()
            self._drop("the machine has ended")

    def received(self, plug: Plug, data: bytes) -> None:
        """A process passes on what its machine says."""
        if plug is self._plugs[-1]:
            self._session.received(data)
            self._dispatch()
            self._flush()

    def writable(self, plug: Plug, *, now: bool) -> None:
        """The connection to a process is, or is no longer, ready for more."""
        if plug is not self._plugs[-1]:
            return
        self._is_paused = not now
        self._flush()
        for number, owner in list(self._owners.items()) if now else ():
            owner.happened(Event(session.ROOM, number))

    def _switch(self, why: str) -> None:
        self.is_ended = self._is_paused = False
        if self._again is not None:
            self._again.cancel()
        self.begin(why)
        self._again = self._loop.call_later(_GREET_AGAIN_S, self._greet)

    def _greet(self) -> None:
        """Greet again, as long as nobody answers; it may not have been heard."""
        if not self.is_up and not self._is_paused and not self._session.unsent_bytes:
            self._session.hello()
            self._flush()
        self._again = self._loop.call_later(_GREET_AGAIN_S, self._greet)

    def _dispatch(self) -> None:
        for event in self._session.events():
            if event.kind == session.UP:
                self.info = event.data[:MAX_INFO]
                self._bell.ring()
            elif event.kind == session.DOWN:
                self._drop(event.data.decode(errors="replace"))
            else:
                self._hand_over(event)

    def _hand_over(self, event: Event) -> None:
        is_last = event.kind in (session.ANSWERED, session.RESET)
        owners = self._owners
        owner = owners.pop(event.channel, None) if is_last else owners.get(event.channel)
        if owner is not None:
            owner.happened(event)

    def _drop(self, why: str) -> None:
        _log.info("the agent's session is over: %s", why)
        self._why_down = why
        owners, self._owners = self._owners, {}
        for owner in owners.values():
            owner.lost(why)
        self._bell.ring()

    def _flush(self) -> None:
        if self._plugs and not self._is_paused:
            data = self._session.data_to_send()
            if data:
                self._plugs[-1].transport.write(data)


class Plug(asyncio.Protocol):
    """One process' end of the channel; asyncio calls it."""

    transport: asyncio.Transport

    def __init__(self, link: Link) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`."""
        self.transport = cast("asyncio.Transport", transport)
        self.transport.set_write_buffer_limits(high=_OUT_BYTES)
        self._link.plugged(self)

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        self._link.received(self, data)

    def pause_writing(self) -> None:
        """Part of `asyncio.Protocol`."""
        self._link.writable(self, now=False)

    def resume_writing(self) -> None:
        """Part of `asyncio.Protocol`."""
        self._link.writable(self, now=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of `asyncio.Protocol`."""
        self._link.unplugged(self)


def lost(why: str) -> AgentLostError:
    """The error for a conversation that broke off."""
    return AgentLostError(f"the conversation with the agent broke off: {why}")
