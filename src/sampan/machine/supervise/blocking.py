"""A program's end of a control socket: blocking, typed, nothing but sockets.

    machine = Client(record.run.control)
    machine.stop(deadline_s=30)

Each call has a connection of its own, so a client holds nothing and several threads may use it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from sampan.machine.error import MachineError
from sampan.machine.model import End
from sampan.machine.supervise import model, protocol
from sampan.machine.supervise.model import Nothing
from sampan.machine.view.event import Event
from sampan.machine.view.metrics import Metrics

TIMEOUT_S = 10.0
_READ = 64 << 10
_Answer = TypeVar("_Answer")


class Client:
    """The machine whose control socket is at `path`; it need not be there yet.

    All methods raise NotAnsweringError if nobody answers, and what the machine raises.
    `timeout_s` is for methods that answer at once.
    """

    def __init__(self, path: Path, *, timeout_s: float = TIMEOUT_S) -> None:
        self.path = path
        self._timeout_s = timeout_s

    def info(self) -> model.Info:
        """What runs there."""
        return self.call("info", Nothing(), model.Info)

    def press_power_button(self) -> None:
        """Press the ACPI power button and return at once."""
        self.call("power-button", Nothing(), Nothing)

    def stop(self, *, deadline_s: float | None = None, timeout_s: float | None = None) -> End:
        """Power the machine off, end it after `deadline_s`, and wait: for ever, or `timeout_s`."""
        asked = model.StopAsked(deadline_s=deadline_s)
        return self.call("stop", asked, model.Ended, timeout_s=timeout_s, waits=True).end

    def kill(self) -> End:
        """End the machine, and wait."""
        return self.call("kill", Nothing(), model.Ended).end

    def pause(self) -> None:
        """Stop its processors."""
        self.call("pause", Nothing(), Nothing)

    def resume(self) -> None:
        """Let it go on."""
        self.call("resume", Nothing(), Nothing)

    def execute(self, command: str, arguments: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Run one command of QMP."""
        asked = model.ExecuteAsked(command=command, arguments=arguments or {})
        return self.call("execute", asked, model.Executed).value

    def metrics(self) -> Metrics:
        """Its counters, now."""
        return self.call("metrics", Nothing(), Metrics)

    def events(self, *, after: int = 0, follow: bool = False) -> Iterator[Event]:
        """What happened after number `after`, and with `follow` what happens, up to the end."""
        asked = model.EventsAsked(after=after, follow=follow)
        kind: Any = Event
        yield from self.stream("events", asked, kind)

    def console(self, *, replay_bytes: int = 0, write: bool = True) -> socket.socket:
        """The console, as a socket of raw bytes that is the caller's to close."""
        asked = model.ConsoleAsked(replay_bytes=replay_bytes, write=write)
        return self.upgrade("console", asked)[0]

    def call(
        self,
        method: str,
        params: msgspec.Struct,
        answer: type[_Answer],
        *,
        timeout_s: float | None = None,
        waits: bool = False,
    ) -> _Answer:
        """Call a method that answers once; with `waits` it may take as long as it takes."""
        with self._asked(method, params) as conversation:
            if waits or timeout_s is not None:
                conversation.socket.settimeout(timeout_s)
            return conversation.result(answer)

    def stream(
        self, method: str, params: msgspec.Struct, item: type[_Answer]
    ) -> Iterator[_Answer]:  # fmt: skip
        """Call a method that answers with items, and yield them; waits for them without limit."""
        with self._asked(method, params) as conversation:
            conversation.socket.settimeout(None)
            yield from conversation.items(item)

    def upgrade(self, method: str, params: msgspec.Struct) -> tuple[socket.socket, msgspec.Raw]:
        """Call a method that takes over the connection: a socket that blocks, and the result."""
        with self._asked(method, params) as conversation:
            result = conversation.upgraded()
            conversation.socket.settimeout(None)
            return conversation.socket.dup(), result

    @contextlib.contextmanager
    def _asked(self, method: str, params: msgspec.Struct) -> Iterator[_Conversation]:
        request = protocol.Request(1, method, msgspec.Raw(msgspec.json.encode(params)))
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(self._timeout_s)
            try:
                connection.connect(str(self.path))
                connection.sendall(protocol.emit(request))
                yield _Conversation(connection)
            except TimeoutError as error:
                raise protocol.NotAnsweringError(
                    f"the sampan that runs the machine does not answer ({method})",
                    hint="it may be stopped or stuck; sampan kill ends it in any case",
                ) from error
            except OSError as error:
                raise protocol.NotAnsweringError(
                    f"nobody answers at {self.path}: {error.strerror or error}",
                    hint="has the machine just ended? sampan ps -a",
                ) from error
            except protocol.RemoteProtocolError as error:
                raise MachineError(f"what answers at {self.path} is no machine: {error}") from error


class _Conversation:
    """One request's answers."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._lines = protocol.Lines()

    def result(self, kind: type[_Answer]) -> _Answer:
        """The only answer."""
        return _decoded(self._final(self._next()).result, kind)

    def items(self, kind: type[_Answer]) -> Iterator[_Answer]:
        """All items, up to the result."""
        while isinstance((answer := self._next()).item, msgspec.Raw):
            yield _decoded(answer.item, kind)
        self._final(answer)

    def upgraded(self) -> msgspec.Raw:
        """The result that comes with an upgrade."""
        answer = self._final(self._next(one_by_one=True))
        if not answer.upgrade or not isinstance(answer.result, msgspec.Raw):
            raise protocol.RemoteProtocolError("no upgrade")
        return answer.result

    @staticmethod
    def _final(answer: protocol.Answer) -> protocol.Answer:
        if isinstance(answer.error, protocol.Fault):
            raise protocol.error_of(answer.error)
        if not isinstance(answer.result, msgspec.Raw):
            raise protocol.RemoteProtocolError("neither a result nor an error")
        return answer

    def _next(self, *, one_by_one: bool = False) -> protocol.Answer:
        """The next line; read `one_by_one` if what follows is to stay in the socket."""
        while (line := self._lines.next_line()) is None:
            data = self.socket.recv(1 if one_by_one else _READ)
            if not data:
                raise ConnectionResetError("the connection was closed")
            self._lines.data_received(data)
        return protocol.parse_answer(line)


def _decoded(raw: msgspec.Raw | msgspec.UnsetType, kind: type[_Answer]) -> _Answer:
    try:
        return msgspec.json.decode(raw if isinstance(raw, msgspec.Raw) else b"", type=kind)
    except msgspec.MsgspecError as error:
        raise protocol.RemoteProtocolError(str(error)) from error
