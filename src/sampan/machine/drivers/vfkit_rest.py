"""vfkit's REST API over its Unix socket (vfkit, doc/usage.md): the state, and changes of it.

HTTP/1.0, so that no answer is chunked and each ends with its connection.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum
from pathlib import Path

import msgspec

from sampan.machine.error import MachineError

MAX_ANSWER_BYTES = 1 << 20
DEADLINE_S = 10.0


class Change(StrEnum):
    """What can be asked of a machine. `STOP` is its power button."""

    PAUSE = "Pause"
    RESUME = "Resume"
    STOP = "Stop"
    HARD_STOP = "HardStop"


class NoAnswerError(MachineError):
    """Nobody answers at the control socket."""


class _State(msgspec.Struct, frozen=True):
    state: str


class _Failure(msgspec.Struct, frozen=True):
    error: str = ""


class Rest:
    """The API of the vfkit that listens at `path`."""

    def __init__(self, path: Path, *, deadline_s: float = DEADLINE_S) -> None:
        self._path = path
        self._deadline_s = deadline_s

    async def state(self) -> str:
        """The state of the machine in Virtualization.framework's words, as `Running`.

        Raises:
            NoAnswerError: nobody answers.
            MachineError: the answer makes no sense.
        """
        body = await self._ask("GET", b"")
        try:
            return msgspec.json.decode(body, type=_State).state.removeprefix("VirtualMachineState")
        except msgspec.MsgspecError as error:
            raise MachineError(f"vfkit's answer makes no sense: {error}") from error

    async def change(self, change: Change) -> None:
        """Ask for a change of state; it was begun when this returns.

        Raises:
            NoAnswerError: nobody answers.
            MachineError: vfkit refused.
        """
        await self._ask("POST", msgspec.json.encode(_State(change.value)))

    async def _ask(self, method: str, body: bytes) -> bytes:
        head = (
            f"{method} /vm/state HTTP/1.0\r\nHost: vfkit\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(self._deadline_s):
                answer = await self._exchange(head.encode() + body)
        except (OSError, TimeoutError) as error:
            raise NoAnswerError(f"vfkit does not answer at {self._path}: {error}") from error
        if not answer:
            raise NoAnswerError(f"vfkit hung up at {self._path}")
        status, said = parse_answer(answer)
        if status >= 400:
            raise MachineError(f"vfkit refused: {_reason(said) or f'status {status}'}")
        return said

    async def _exchange(self, request: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(self._path))
        try:
            writer.write(request)
            return await _read(reader)
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    answer = bytearray()
    while len(answer) <= MAX_ANSWER_BYTES and (data := await reader.read(1 << 16)):
        answer += data
    return bytes(answer)


def parse_answer(answer: bytes) -> tuple[int, bytes]:
    """Status and body of an HTTP answer that ends with its connection.

    Raises:
        MachineError: it is none.
    """
    head, blank, body = answer.partition(b"\r\n\r\n")
    words = head.partition(b"\r\n")[0].split()
    if not blank or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or len(words[1]) != 3:
        raise MachineError(f"what answers is no vfkit: {answer[:80]!r}")
    try:
        return int(words[1]), body
    except ValueError:
        raise MachineError(f"what answers is no vfkit: {answer[:80]!r}") from None


def _reason(body: bytes) -> str:
    try:
        return msgspec.json.decode(body, type=_Failure).error
    except msgspec.MsgspecError:
        return body[:200].decode(errors="replace").strip()
