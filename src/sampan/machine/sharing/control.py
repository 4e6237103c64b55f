"""What Sampan says to the server of a share: lines of JSON, as `vhost.core.fuse.control` has them.

To tell a guest of changes, a task of the guest does them itself, and the server plays along: it
knows the task by a token, a name that the task has opened in the share's root, and the changes
because they were staged. It leaves out those that the guest itself has done.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Self

import msgspec

from sampan.base.agent.change import ATTRIB, TOUCH, Change
from sampan.machine.device import Share
from sampan.machine.error import MachineError

ANSWER_S = 10.0
_MAX_LINE = 1 << 20


class _Answer(msgspec.Struct, frozen=True):
    staged: int = 0
    own: tuple[int, ...] = ()
    error: str = ""


class Control:
    """The channel to the server of `share`; `theirs` is the end that the server inherits."""

    def __init__(self, share: Share) -> None:
        self.share = share
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._ours.setblocking(False)
        self._received = b""
        self._is_over = False

    def started(self) -> None:
        """The server has its end now: its death is the end of the channel."""
        self.theirs.close()

    def close(self) -> None:
        """Say nothing more."""
        self._ours.close()
        self.theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    async def stage(self, token: str, changes: Sequence[Change]) -> list[Change]:
        """Have the server play along with the task that opens `token`; the changes it will.

        Raises:
            MachineError: the server is gone, or says nothing that makes sense.
        """
        await self._ask({"teller": token})
        answer = await self._ask({"stage": [_item(each) for each in changes]})
        told = [each for index, each in enumerate(changes) if index not in answer.own]
        if answer.staged != len(told):
            raise MachineError(f"a share's server staged {answer.staged} of {len(told)} changes")
        return told

    async def _ask(self, question: object) -> _Answer:
        if self._is_over:  # an answer may come yet, to another question
            raise MachineError("a share's server has failed before")
        self._is_over = True
        try:
            async with asyncio.timeout(ANSWER_S):
                line = await self._line(msgspec.json.encode(question) + b"\n")
        except (OSError, TimeoutError) as error:
            raise MachineError(f"a share's server does not answer: {error}") from error
        try:
            answer = msgspec.json.decode(line, type=_Answer)
        except msgspec.MsgspecError as error:
            raise MachineError(f"a share's server makes no sense: {error}") from error
        self._is_over = False
        if answer.error:
            raise MachineError(f"a share's server refuses: {answer.error}")
        return answer

    async def _line(self, said: bytes) -> bytes:
        """Say something, and give the line that is the answer."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._ours, said)
        while b"\n" not in self._received:
            data = await loop.sock_recv(self._ours, 1 << 16)
            if not data or len(self._received) > _MAX_LINE:
                raise MachineError("a share's server has ended")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line


def _item(change: Change) -> dict[str, str]:
    item = {"did": ATTRIB if change.did == TOUCH else change.did, "path": change.path}
    return item | {"to": change.to} if change.to else item


@contextmanager
def opened(shares: Sequence[Share]) -> Iterator[dict[str, Control]]:
    """The channels for those shares that tell events, by tag."""
    with ExitStack() as stack:
        yield {each.tag: stack.enter_context(Control(each)) for each in shares if each.events}
