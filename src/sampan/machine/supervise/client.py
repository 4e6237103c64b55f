"""A program's end of a control socket, for asyncio; the same names as `blocking`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sampan.machine.error import MachineError
from sampan.machine.model import End
from sampan.machine.supervise import model, protocol
from sampan.machine.supervise.model import Nothing
from sampan.machine.view.event import Event
from sampan.machine.view.metrics import Metrics

_Answer = TypeVar("_Answer")
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class AsyncClient:
    """The machine whose control socket is at `path`; see `blocking.Client`.

    There are no time limits: wrap calls in `asyncio.timeout`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    async def info(self) -> model.Info:
        """See `blocking.Client.info`."""
        return await self.call("info", Nothing(), model.Info)

    async def press_power_button(self) -> None:
        """See `blocking.Client.press_power_button`."""
        await self.call("power-button", Nothing(), Nothing)

    async def stop(self, *, deadline_s: float | None = None) -> End:
        """See `blocking.Client.stop`."""
        return (await self.call("stop", model.StopAsked(deadline_s=deadline_s), model.Ended)).end

    async def kill(self) -> End:
        """See `blocking.Client.kill`."""
        return (await self.call("kill", Nothing(), model.Ended)).end

    async def pause(self) -> None:
        """See `blocking.Client.pause`."""
        await self.call("pause", Nothing(), Nothing)

    async def resume(self) -> None:
        """See `blocking.Client.resume`."""
        await self.call("resume", Nothing(), Nothing)

    async def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """See `blocking.Client.execute`."""
        asked = model.ExecuteAsked(command=command, arguments=arguments or {})
        return (await self.call("execute", asked, model.Executed)).value

    async def metrics(self) -> Metrics:
        """See `blocking.Client.metrics`."""
        return await self.call("metrics", Nothing(), Metrics)

    async def events(self, *, after: int = 0, follow: bool = False) -> AsyncIterator[Event]:
        """See `blocking.Client.events`."""
        kind: Any = Event
        async for event in self.stream(
            "events", model.EventsAsked(after=after, follow=follow), kind
        ):  # fmt: skip
            yield event

    async def console(self, *, replay_bytes: int = 0, write: bool = True) -> Streams:
        """The console, as a reader and a writer that is the caller's to close."""
        asked = model.ConsoleAsked(replay_bytes=replay_bytes, write=write)
        reader, writer, _ = await self.upgrade("console", asked)
        return reader, writer

    async def call(self, method: str, params: msgspec.Struct, answer: type[_Answer]) -> _Answer:
        """Call a method that answers once."""
        async with self._asked(method, params) as (reader, _):
            return _decoded(_result(await _next(reader)), answer)

    async def stream(
        self, method: str, params: msgspec.Struct, item: type[_Answer]
    ) -> AsyncIterator[_Answer]:
        """Call a method that answers with items, and yield them."""
        async with self._asked(method, params) as (reader, _):
            while isinstance((answer := await _next(reader)).item, msgspec.Raw):
                yield _decoded(answer.item, item)
            _result(answer)

    async def upgrade(
        self, method: str, params: msgspec.Struct
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, msgspec.Raw]:
        """Call a method that takes over the connection: its ends, and the result."""
        reader, writer = await self._connected(method, params)
        try:
            return reader, writer, _result(await _next(reader))
        except BaseException:
            writer.close()
            raise

    async def _connected(self, method: str, params: msgspec.Struct) -> Streams:
        request = protocol.Request(1, method, msgspec.Raw(msgspec.json.encode(params)))
        try:
            reader, writer = await asyncio.open_unix_connection(
                str(self.path), limit=protocol.MAX_LINE_BYTES
            )
        except OSError as error:
            raise protocol.NotAnsweringError(
                f"nobody answers at {self.path}: {error.strerror or error}"
            ) from error
        writer.write(protocol.emit(request))
        return reader, writer

    @asynccontextmanager
    async def _asked(self, method: str, params: msgspec.Struct) -> AsyncIterator[Streams]:
        reader, writer = await self._connected(method, params)
        try:
            yield reader, writer
        finally:
            writer.close()


async def _next(reader: asyncio.StreamReader) -> protocol.Answer:
    try:
        line = await reader.readuntil(b"\n")
        return protocol.parse_answer(line)
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise protocol.NotAnsweringError("the machine closed the connection") from error
    except (asyncio.LimitOverrunError, protocol.RemoteProtocolError) as error:
        raise _nonsense(error) from error


def _result(answer: protocol.Answer) -> msgspec.Raw:
    if isinstance(answer.error, protocol.Fault):
        raise protocol.error_of(answer.error)
    if not isinstance(answer.result, msgspec.Raw):
        raise _nonsense("neither a result nor an error")
    return answer.result


def _decoded(raw: msgspec.Raw, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.MsgspecError as error:
        raise _nonsense(error) from error


def _nonsense(why: object) -> MachineError:
    return MachineError(f"what answers is no machine of this version: {why}")
