"""QEMU's machine protocol, without any I/O: bytes in, bytes out, typed events.

Theory of operation. QEMU speaks first (a greeting), and accepts nothing but
`qmp_capabilities` until that was answered; the core asks for it by itself. From then on
commands carry an id and may overlap; replies carry it back; asynchronous events come at any
time. Each message is one JSON object on one line.

Goals: a broken or hostile peer costs one `RemoteProtocolError`, never memory without bound.
May not know: sockets, clocks, and what any command or event means.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

MAX_MESSAGE_BYTES = 16 << 20  # query-qmp-schema, the largest known reply, is below 1 MiB


class LocalProtocolError(Exception):
    """Our caller broke the rules of the conversation."""


class RemoteProtocolError(Exception):
    """The peer broke the rules of the conversation; nothing more can be had from it."""


class Ready(msgspec.Struct, frozen=True):
    """The peer greeted us and agreed: commands will be answered from now on."""

    version: str


class Reply(msgspec.Struct, frozen=True):
    """Command `id` succeeded with `value`."""

    id: int
    value: Json


class Failure(msgspec.Struct, frozen=True):
    """Command `id` failed."""

    id: int
    kind: str
    description: str


class Notice(msgspec.Struct, frozen=True):
    """Something happened in the machine (QMP calls this an event)."""

    name: str
    data: Mapping[str, Json]
    time_s: float


Event: TypeAlias = Ready | Reply | Failure | Notice


class _Version(msgspec.Struct, frozen=True):
    major: int = 0
    minor: int = 0
    micro: int = 0


class _Package(msgspec.Struct, frozen=True):
    qemu: _Version


class _Greeting(msgspec.Struct, frozen=True):
    version: _Package


class _Error(msgspec.Struct, frozen=True):
    kind: str = msgspec.field(name="class", default="")
    description: str = msgspec.field(name="desc", default="")


class _Stamp(msgspec.Struct, frozen=True):
    seconds: int = 0
    microseconds: int = 0


class _Message(msgspec.Struct, frozen=True):
    """Any of the four shapes; the field that is set tells which."""

    greeting: _Greeting | msgspec.UnsetType = msgspec.field(name="QMP", default=msgspec.UNSET)
    event: str | msgspec.UnsetType = msgspec.UNSET
    data: dict[str, Any] = {}  # Json, whose recursion msgspec does not take
    timestamp: _Stamp = _Stamp()
    value: msgspec.Raw | msgspec.UnsetType = msgspec.field(name="return", default=msgspec.UNSET)
    error: _Error | msgspec.UnsetType = msgspec.UNSET
    id: int = -1


_decoder = msgspec.json.Decoder(_Message)
_HANDSHAKE_ID = 0


class Conversation:
    """One QMP connection, client side."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._scanned = 0
        self._to_send = bytearray()
        self._events: list[Event] = []
        self._next_id = _HANDSHAKE_ID
        self._version = ""
        self._ready = False

    def data_received(self, data: bytes) -> None:
        """Bytes arrived. Afterwards send `data_to_send()` and look at `events()`.

        Raises:
            RemoteProtocolError: the peer does not speak QMP; close the connection.
        """
        self._received += data
        while (end := self._received.find(b"\n", self._scanned)) >= 0:
            line = bytes(self._received[:end]).strip()
            del self._received[: end + 1]
            self._scanned = 0
            if line:
                self._message_received(line)
        self._scanned = len(self._received)
        if self._scanned > MAX_MESSAGE_BYTES:
            raise RemoteProtocolError(f"a message is longer than {MAX_MESSAGE_BYTES} bytes")

    def command(self, name: str, arguments: Mapping[str, Json] | None = None) -> int:
        """Queue a command; send `data_to_send()` next. Its `Reply` or `Failure` has this id.

        Raises:
            LocalProtocolError: the conversation is not `Ready` yet.
        """
        if not self._ready:
            raise LocalProtocolError(f"command {name} before the machine was ready for commands")
        return self._queue(name, arguments)

    def data_to_send(self) -> bytes:
        """The bytes to write now; they are handed out once."""
        data = bytes(self._to_send)
        self._to_send.clear()
        return data

    def events(self) -> list[Event]:
        """What happened since the last call."""
        events, self._events = self._events, []
        return events

    def _queue(self, name: str, arguments: Mapping[str, Json] | None) -> int:
        number = self._next_id
        self._next_id += 1
        message: dict[str, Json] = {"execute": name, "id": number}
        if arguments:
            message["arguments"] = dict(arguments)
        self._to_send += msgspec.json.encode(message) + b"\n"
        return number

    def _message_received(self, line: bytes) -> None:
        try:
            message = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RemoteProtocolError(f"not a QMP message: {line[:80]!r} ({error})") from error
        if message.greeting is not msgspec.UNSET:
            self._greeted(message.greeting)
        elif message.event is not msgspec.UNSET:
            stamp = message.timestamp
            time_s = stamp.seconds + stamp.microseconds / 1e6
            self._events.append(Notice(message.event, message.data, time_s))
        elif message.error is not msgspec.UNSET:
            self._failed(message.id, message.error)
        elif message.value is not msgspec.UNSET:
            self._answered(message.id, message.value)
        else:
            raise RemoteProtocolError(f"a message of no known shape: {line[:80]!r}")

    def _greeted(self, greeting: _Greeting) -> None:
        if self._version:
            raise RemoteProtocolError("a second greeting")
        version = greeting.version.qemu
        self._version = f"{version.major}.{version.minor}.{version.micro}"
        self._queue("qmp_capabilities", None)

    def _failed(self, number: int, error: _Error) -> None:
        if not self._ready:
            raise RemoteProtocolError(f"the peer refused to talk: {error.description}")
        self._check_id(number)
        self._events.append(Failure(number, error.kind, error.description))

    def _answered(self, number: int, value: msgspec.Raw) -> None:
        self._check_id(number)
        if number == _HANDSHAKE_ID:
            self._ready = True
            self._events.append(Ready(self._version))
        else:
            self._events.append(Reply(number, msgspec.json.decode(value)))

    def _check_id(self, number: int) -> None:
        if not 0 <= number < self._next_id:
            raise RemoteProtocolError(f"a reply to command {number}, which was never sent")
