"""The asyncio end of a QMP connection: commands that are awaited, notices that are heard.

All protocol knowledge is in `sampan.machine.qmp`. No task is started: bytes come by the
transport's callbacks and replies wake the futures that wait for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from sampan.base import log
from sampan.machine import qmp
from sampan.machine.error import MachineEndedError, MachineError

_log = log.get(__name__)


class CommandError(MachineError):
    """QEMU refused a command."""

    def __init__(self, command: str, failure: qmp.Failure) -> None:
        super().__init__(f"QEMU refused {command}: {failure.description}")
        self.kind = failure.kind


class Control(asyncio.Protocol):
    """One QMP connection. `on_notice` is called, in order, for each event of the machine."""

    def __init__(self, on_notice: Callable[[qmp.Notice], None]) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._conversation = qmp.Conversation()
        self._on_notice = on_notice
        self._waiting: dict[int, asyncio.Future[qmp.Reply | qmp.Failure]] = {}
        self._ready: asyncio.Future[str] = loop.create_future()
        self._transport: asyncio.Transport | None = None

    async def ready(self) -> str:
        """Wait until commands are taken; gives QEMU's version.

        Raises:
            MachineEndedError: the connection closed before that.
        """
        return await asyncio.shield(self._ready)

    async def execute(
        self, command: str, arguments: Mapping[str, qmp.Json] | None = None
    ) -> qmp.Json:
        """Run one QMP command and give its value.

        Raises:
            CommandError: QEMU refused it.
            MachineEndedError: the connection closed before the answer.
        """
        if self._transport is None or self._transport.is_closing():
            raise MachineEndedError(f"cannot {command}: the machine has ended")
        number = self._conversation.command(command, arguments)
        future: asyncio.Future[qmp.Reply | qmp.Failure] = self._loop.create_future()
        self._waiting[number] = future
        self._transport.write(self._conversation.data_to_send())
        try:
            answer = await future
        finally:
            self._waiting.pop(number, None)
        if isinstance(answer, qmp.Failure):
            raise CommandError(command, answer)
        return answer.value

    def close(self) -> None:
        """Close the connection; QEMU goes on."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Part of `asyncio.Protocol`."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Part of `asyncio.Protocol`."""
        try:
            self._conversation.data_received(data)
        except qmp.RemoteProtocolError as error:
            _log.error("QMP: %s", error)
            self._fail(MachineError(f"QEMU's control connection broke: {error}"))
            self.close()
            return
        for event in self._conversation.events():
            self._happened(event)
        if self._transport is not None and (to_send := self._conversation.data_to_send()):
            self._transport.write(to_send)

    def connection_lost(self, exc: Exception | None) -> None:
        """Part of `asyncio.Protocol`."""
        self._transport = None
        self._fail(MachineEndedError("the machine ended"))

    def _happened(self, event: qmp.Event) -> None:
        match event:
            case qmp.Ready():
                if not self._ready.done():
                    self._ready.set_result(event.version)
            case qmp.Notice():
                _log.debug("QMP event %s %s", event.name, event.data)
                self._on_notice(event)
            case qmp.Reply() | qmp.Failure():
                future = self._waiting.get(event.id)
                if future is not None and not future.done():
                    future.set_result(event)

    def _fail(self, error: MachineError) -> None:
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(error)
        if not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # nobody may be waiting: mark it as seen
