"""Files and folders to and from a machine, as streams of `sampan.base.agent.tree`.

Reading and writing disks is done in threads. What a machine sends is unpacked within bounds, and
nothing of it lands outside the folder it was meant for.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Generator, Iterator

from sampan.base.agent import tree
from sampan.machine.agent import program
from sampan.machine.agent.channel import Channel
from sampan.machine.agent.error import AgentError

_BATCH = 256 << 10
_SAID_BYTES = 4 << 10


def base_name(path: str) -> str:
    """What a copy of `path` is called in a folder.

    Raises:
        AgentError: `path` has no name, as `/` and `..` have none.
    """
    name = os.path.basename(path.rstrip("/"))  # noqa: PTH119  a path of the machine
    if name in ("", ".", ".."):
        raise AgentError(f"{path} has no name that its copy could have", hint="say its full path")
    return name


async def send(channel: Channel, source: str) -> None:
    """Send what is at `source`, and wait until it is there.

    Raises:
        AgentError: it cannot be read here, or written there.
        AgentLostError: the conversation broke off.
    """
    pieces = _batches(tree.pack(source))
    try:
        while data := await asyncio.to_thread(next, pieces, b""):
            if not await channel.write(data):
                pieces.close()  # and with it the file that is being read
                break
    except tree.TreeError as error:
        raise AgentError(f"cannot copy {source}: {error}") from error
    except OSError as error:
        raise AgentError(f"cannot copy {error.filename or source}: {error.strerror}") from error
    channel.end()
    await _finish(channel, b"")


async def receive(channel: Channel, target: str, name: str, limits: tree.Limits) -> None:
    """Unpack what comes to `target` (a folder: below `name` in it).

    Raises:
        AgentError: it cannot be read there, or written here; or it is more than the limits.
        AgentLostError: the conversation broke off.
    """
    said = b""
    try:
        with tree.Unpacker(target, name, limits) as unpacker:
            while (piece := await channel.read()) is not None:
                stream, data = piece
                if stream == program.OUT:
                    await asyncio.to_thread(unpacker.feed, data)
                else:
                    said = (said + data)[:_SAID_BYTES]
            await _finish(channel, said)
            if not unpacker.is_done:
                raise AgentError("the copy broke off in the machine")
    except tree.TreeError as error:
        raise AgentError(f"cannot copy to {target}: {error}") from error
    except OSError as error:
        raise AgentError(f"cannot copy to {target}: {error.strerror}") from error


async def _finish(channel: Channel, said: bytes) -> None:
    """Wait for the answer of work without output.

    Raises:
        AgentError: it failed; the message is what it said.
    """
    while (piece := await channel.read()) is not None:
        said = (said + piece[1])[:_SAID_BYTES]
    if program.status(await channel.answer()) != 0:
        text = said.decode(errors="replace").strip() or "it did not say why"
        raise AgentError(f"in the machine: {text}")


def _batches(pieces: Iterator[bytes]) -> Generator[bytes, None, None]:
    """Fewer, larger pieces: a thread is asked for each."""
    batch = bytearray()
    for piece in pieces:
        batch += piece
        if len(batch) >= _BATCH:
            yield bytes(batch)
            batch.clear()
    yield bytes(batch)


async def work(channel: Channel) -> None:
    """Wait for work without output, and have its complaint as an error.

    Raises:
        AgentError: it failed.
    """
    await _finish(channel, b"")
