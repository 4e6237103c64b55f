"""One call of the agent, for asyncio: bytes in and out, notes, and the answer.

What comes is kept until it is read, and the agent may send no more than `session.WINDOW` bytes
beyond that: whoever reads slowly, or not at all, slows the program in the machine down.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any, Self

import msgspec

from sampan.base.agent import session
from sampan.base.agent.session import Event
from sampan.errors import SampanError
from sampan.machine.agent.error import AgentError
from sampan.machine.agent.link import Link, lost
from sampan.machine.bell import Bell


class _Asked(msgspec.Struct, frozen=True):
    method: str
    params: Mapping[str, Any]


class _Answer(msgspec.Struct, frozen=True):
    result: dict[str, Any] | None = None
    error: str | None = None


_answers = msgspec.json.Decoder(_Answer)


class Channel:
    """A call that was made; see `calling`. Leaving it as a context ends it."""

    def __init__(self, link: Link, method: str, params: Mapping[str, Any]) -> None:
        self._link = link
        self._output: deque[tuple[int, bytes]] = deque()
        self._answer: _Answer | None = None
        self._error: SampanError | None = None
        self._bell = Bell()
        try:
            body = msgspec.json.encode(_Asked(method, params))
        except UnicodeEncodeError as error:
            raise AgentError(f"{error.object!a} is not UTF-8, and cannot be said") from error
        self._number = link.open(body, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    @property
    def is_over(self) -> bool:
        """Whether it was answered, or broke off."""
        return self._answer is not None or self._error is not None

    async def read(self) -> tuple[int, bytes] | None:
        """The next bytes, with the number of their stream (1 out, 2 err); None at the end.

        Raises:
            AgentLostError: the conversation broke off.
        """
        while not self._output:
            if self._error is not None:
                raise self._error
            if self._answer is not None:
                return None
            await self._bell.wait()
        stream, data = self._output.popleft()
        self._link.consumed(self._number, len(data))
        return stream, data

    async def write(self, data: bytes) -> bool:
        """Send `data`; waits while the other side is slow. False if the call is over already."""
        left = memoryview(data)
        while left:
            if self.is_over:
                return False
            sent = 0
            if self._link.room(self._number):
                sent = self._link.send(self._number, 0, bytes(left[: session.WINDOW]))
            if not sent:
                await self._bell.wait()
            left = left[sent:]
        return not self.is_over

    def end(self) -> None:
        """Say that nothing more is sent."""
        self._link.end(self._number, 0)

    def note(self, **values: object) -> None:
        """Say something beside the stream."""
        self._link.note(self._number, msgspec.json.encode(values))

    async def answer(self) -> dict[str, Any]:
        """The result; what was not read before it is dropped.

        Raises:
            AgentError: the agent refused; the message is its own.
            AgentLostError: the conversation broke off.
        """
        while await self.read() is not None:
            pass
        assert self._answer is not None
        if self._answer.result is None:
            raise AgentError(f"the agent refused: {self._answer.error or 'without a reason'}")
        return self._answer.result

    def close(self) -> None:
        """End the call, if it is not over; what it started in the machine is ended."""
        self._link.reset(self._number)
        self._output.clear()

    def happened(self, event: Event) -> None:
        """See `Owner`."""
        if event.kind == session.RECEIVED:
            self._output.append((event.stream, event.data))
        elif event.kind == session.ANSWERED:
            try:
                self._answer = _answers.decode(event.data)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                self._error = AgentError(f"the agent's answer makes no sense: {error}")
        elif event.kind == session.RESET:
            self._error = AgentError("the agent has too much to do, and refused the call")
        self._bell.ring()

    def lost(self, why: str) -> None:
        """See `Owner`."""
        self._error = lost(why)
        self._bell.ring()
