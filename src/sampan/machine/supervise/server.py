"""The control socket of a running machine: who may connect, and whose method is called.

    server = Server()
    server.add("greet", greet, Greeting)     # async def greet(call: Call[Greeting]) -> Struct
    async with server.serving(path):
        …

Only the user who runs the machine, and root, are served.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar, cast

import msgspec

from sampan.base import log, unixsocket
from sampan.errors import ExitCode, SampanError, UsageError
from sampan.machine.supervise import protocol
from sampan.machine.supervise.model import Nothing
from sampan.machine.supervise.stream import Stream

_log = log.get(__name__)
MAX_CONNECTIONS = 64
_MAX_WAITING = 16  # requests of one connection
_BUG = int(ExitCode.BUG)
_GRACE_S = 2.0  # for the last answers, when serving ends
_Params = TypeVar("_Params", bound=msgspec.Struct)


class Call(Generic[_Params]):
    """One request: `params`, and ways to answer besides the handler's result."""

    def __init__(self, params: _Params, request: protocol.Request, stream: Stream) -> None:
        self.params = params
        self._id = request.id
        self._stream = stream

    async def send(self, item: msgspec.Struct) -> None:
        """One item of an answer that has many; waits for a client that is slow."""
        raw = msgspec.Raw(msgspec.json.encode(item))
        self._stream.write(protocol.emit(protocol.Answer(self._id, item=raw)))
        await self._stream.drain()

    def upgrade(self, result: msgspec.Struct | None = None) -> Stream:
        """Answer with `result`; from here on the connection is raw bytes, and ends with the call."""
        self._stream.is_raw = True
        raw = msgspec.Raw(msgspec.json.encode(result or Nothing()))
        answer = protocol.Answer(self._id, result=raw, upgrade=True)
        self._stream.write(protocol.emit(answer))
        return self._stream


Handler = Callable[[Call[_Params]], Awaitable[msgspec.Struct | None]]


class _Method(NamedTuple):
    handler: Callable[[Call[Any]], Awaitable[msgspec.Struct | None]]
    params: type[msgspec.Struct]


class Server:
    """The methods of one machine."""

    def __init__(self) -> None:
        self._methods: dict[str, _Method] = {}
        self._connections: set[_Connection] = set()
        self._is_serving = False
        self.tasks: asyncio.TaskGroup

    @property
    def methods(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(sorted(self._methods))

    def add(self, name: str, handler: Handler[_Params], params: type[_Params]) -> None:
        """Let clients call `handler` as `name`, with `params`; cancelled when the client goes.

        What it returns is the result (None: nothing); what it raises, if that is a SampanError,
        is raised at the client's.
        """
        if name in self._methods:
            raise ValueError(f"there is a method {name} already")
        self._methods[name] = _Method(handler, params)

    @asynccontextmanager
    async def serving(self, path: Path) -> AsyncIterator[None]:
        """Serve at `path` for the length of the block; then finish what is being answered."""
        loop = asyncio.get_running_loop()
        bound = unixsocket.bind(path)
        async with asyncio.TaskGroup() as self.tasks:
            server = await loop.create_unix_server(lambda: _Connection(self), sock=bound.socket)
            self._is_serving = True
            try:
                yield
            finally:
                self._is_serving = False
                loop.remove_reader(bound.socket)
                try:
                    # who was accepted is ours by the next turn; a server that is closed before
                    # that forgets about them, and they would wait for ever
                    await asyncio.sleep(0)
                finally:
                    server.close()
                    _remove(path)
                await self._finish()

    async def _finish(self) -> None:
        busy = [each.task for each in self._connections if each.is_busy]
        if busy:
            await asyncio.wait(busy, timeout=_GRACE_S)
        for each in list(self._connections):
            each.task.cancel()

    def admit(self, connection: _Connection) -> bool:
        """Take note of a connection, unless there are too many or it comes too late."""
        if not self._is_serving:  # it was accepted before the socket was closed
            return False
        if len(self._connections) >= MAX_CONNECTIONS:
            _log.warning("too many connections to a machine's control socket")
            return False
        self._connections.add(connection)
        return True

    def forget(self, connection: _Connection) -> None:
        """A connection has gone."""
        self._connections.discard(connection)

    async def answer(self, request: protocol.Request, stream: Stream) -> bool:
        """Deal with one request; whether the connection goes on with another."""
        answer = await self._answer(request, stream)
        if answer is None or stream.is_raw:
            return False
        try:
            line = protocol.emit(answer)
        except SampanError as error:  # what it says is too long, or no text
            line = protocol.emit(protocol.Answer(request.id, error=protocol.fault_of(error)))
        stream.write(line)
        with suppress(ConnectionError):  # who does not wait for the answer
            await stream.drain()
        return True

    async def _answer(self, request: protocol.Request, stream: Stream) -> protocol.Answer | None:
        """The answer that is left to be given; None: the client has gone."""
        try:
            method = self._methods.get(request.method)
            if method is None:
                raise protocol.UnknownMethodError(
                    f"this machine's sampan does not know {request.method!r}",
                    hint="it is of another version: start the machine anew with this one",
                )
            call = Call(_params(request, method.params), request, stream)
            result = await method.handler(call)
            raw = msgspec.Raw(msgspec.json.encode(result or Nothing()))
            return protocol.Answer(request.id, result=raw)
        except SampanError as error:
            return protocol.Answer(request.id, error=protocol.fault_of(error))
        except ConnectionError:
            return None
        except Exception as error:  # noqa: BLE001  it costs one answer, not the machine
            _log.exception("the method %s", request.method)
            fault = protocol.Fault(type(error).__name__, f"a fault of Sampan: {error}", None, _BUG)
            return protocol.Answer(request.id, error=fault)


class _Connection(asyncio.Protocol):
    """One client. asyncio calls the methods; the work is done in a task of its own."""

    def __init__(self, server: Server) -> None:
        self.is_busy = False
        self.task: asyncio.Task[None]
        self._server = server
        self._lines = protocol.Lines()
        self._requests: asyncio.Queue[protocol.Request] = asyncio.Queue()
        self._stream: Stream

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`."""
        transport = cast("asyncio.Transport", transport)
        self._stream = Stream(transport)
        if not _is_ours(transport.get_extra_info("socket")) or not self._server.admit(self):
            transport.abort()
            return
        self.task = self._server.tasks.create_task(self._serve(), name="control connection")

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        if self._stream.is_raw:
            self._stream.feed(data)
            return
        self._lines.data_received(data)
        try:
            while (line := self._lines.next_line()) is not None:
                self._requests.put_nowait(protocol.parse_request(line))
                if self._requests.qsize() > _MAX_WAITING:
                    raise protocol.RemoteProtocolError("too many requests at once")
        except protocol.RemoteProtocolError as error:
            _log.warning("a client of the control socket: %s", error)
            self._stream.abort()

    def eof_received(self) -> bool:
        """Part of `asyncio.Protocol`: on a raw connection the other direction goes on."""
        self._stream.feed_eof()
        return self._stream.is_raw

    def pause_writing(self) -> None:
        """Part of `asyncio.Protocol`."""
        self._stream.pause_writing()

    def resume_writing(self) -> None:
        """Part of `asyncio.Protocol`."""
        self._stream.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of `asyncio.Protocol`."""
        self._stream.lost()
        if hasattr(self, "task"):
            self.task.cancel()

    async def _serve(self) -> None:
        try:
            while True:
                request = await self._requests.get()
                self.is_busy = True
                if not await self._server.answer(request, self._stream):
                    return
                self.is_busy = False
        finally:
            self._server.forget(self)
            self._stream.close()


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _params(request: protocol.Request, kind: type[_Params]) -> _Params:
    try:
        return msgspec.json.decode(request.params, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UsageError(f"{request.method}: {error}") from error


def _is_ours(connection: socket.socket) -> bool:
    """Whether the peer is our user, or root. Where it cannot be asked the file's mode decides."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    _, user, _ = struct.unpack("3i", credentials)
    return user in (0, os.getuid())
