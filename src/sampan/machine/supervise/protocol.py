"""The language of control sockets, without any I/O: bytes in, messages out.

Theory of operation. The client speaks first; each message is one JSON object on one line.

    {"id": 1, "method": "stop", "params": {"deadline_s": 30}}
    {"id": 1, "item": {…}}                    any number of times, for methods that stream
    {"id": 1, "result": {…}}                  or, instead,
    {"id": 1, "error": {"kind": "MachineEndedError", "message": "…", "hint": null, "code": 1}}
    {"id": 1, "result": {…}, "upgrade": true} from here on both directions are raw bytes

One request is dealt with at a time; further ones wait. A client that has enough of an answer
closes its connection. Fields that are not known are passed over, so that both ends may be of
different versions; a method that is not known is an error of kind `UnknownMethodError`.

Goals: a broken or hostile peer costs its own connection, never memory without bound.
May not know: sockets, clocks, and what any method means.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

from sampan.errors import ExitCode, SampanError, ToolMissingError, UsageError
from sampan.machine.error import MachineEndedError, MachineError, MachineTimeoutError

MAX_LINE_BYTES = 1 << 20
_Message = TypeVar("_Message")


class RemoteProtocolError(Exception):
    """The peer broke the rules; nothing more can be had from it."""


class UnknownMethodError(SampanError):
    """Who runs the machine has no such method: it is of another version."""


class NotAnsweringError(MachineError):
    """Nobody, or nobody in time, answers at a control socket."""


class Request(msgspec.Struct, frozen=True):
    """What a client wants."""

    id: int
    method: str
    params: msgspec.Raw = msgspec.Raw(b"{}")


class Fault(msgspec.Struct, frozen=True):
    """An error, as it travels: the class it has at home, and all that it says."""

    kind: str
    message: str
    hint: str | None = None
    code: int = int(ExitCode.FAILED)


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line from the server: exactly one of `item`, `result` and `error` is set."""

    id: int
    item: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: Fault | msgspec.UnsetType = msgspec.UNSET
    upgrade: bool = False


class Lines:
    """Puts messages together from pieces. After an upgrade `rest` has what came behind it."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._scanned = 0

    def data_received(self, data: bytes) -> None:
        """The peer sent `data`; now take what is there with `next_line`."""
        self._received += data

    def next_line(self) -> bytes | None:
        """The next whole line, without its end; None if there is none yet.

        Raises:
            RemoteProtocolError: it is too long.
        """
        end = self._received.find(b"\n", self._scanned)
        if end > MAX_LINE_BYTES or (end < 0 and len(self._received) > MAX_LINE_BYTES):
            raise RemoteProtocolError(f"a message of more than {MAX_LINE_BYTES >> 10} KiB")
        if end < 0:
            self._scanned = len(self._received)
            return None
        line = bytes(self._received[:end])
        del self._received[: end + 1]
        self._scanned = 0
        return line

    def rest(self) -> bytes:
        """All that was received and not taken as lines; it is forgotten here."""
        rest = bytes(self._received)
        self._received.clear()
        self._scanned = 0
        return rest


def parse_request(line: bytes) -> Request:
    """The request on a line.

    Raises:
        RemoteProtocolError: it is none.
    """
    return _parse(line, _requests)


def parse_answer(line: bytes) -> Answer:
    """The answer on a line.

    Raises:
        RemoteProtocolError: it is none.
    """
    return _parse(line, _answers)


def emit(message: Request | Answer) -> bytes:
    """A message as a line.

    Raises:
        SampanError: it is too long to be read at the other end, or text of it is not UTF-8.
    """
    try:
        line = msgspec.json.encode(message)
    except UnicodeEncodeError as error:
        raise MachineError(f"{error.object!a} is not UTF-8, and cannot be said") from error
    if len(line) > MAX_LINE_BYTES:
        raise MachineError(f"a message of more than {MAX_LINE_BYTES >> 10} KiB cannot be sent")
    return line + b"\n"


def fault_of(error: SampanError) -> Fault:
    """`error` in a form that travels."""
    return Fault(type(error).__name__, error.message, error.hint, int(error.exit_code))


def error_of(fault: Fault) -> SampanError:
    """The error that `fault` was, or one with the same text and exit status."""
    for kind in (MachineEndedError, MachineTimeoutError, UnknownMethodError):
        if fault.kind == kind.__name__:
            return kind(fault.message, hint=fault.hint)
    by_code: dict[int, type[SampanError]] = {
        ExitCode.USAGE: UsageError,
        ExitCode.TOOL_MISSING: ToolMissingError,
    }
    return by_code.get(fault.code, MachineError)(fault.message, hint=fault.hint)


_requests = msgspec.json.Decoder(Request)
_answers = msgspec.json.Decoder(Answer)


def _parse(line: bytes, decoder: msgspec.json.Decoder[_Message]) -> _Message:
    try:
        return decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RemoteProtocolError(f"not a message: {error}") from error
