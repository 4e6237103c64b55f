"""Fuzz target: what a front-end says, and what a machine's driver writes into its rings.

The input is taken as a stream of messages, and as the beginning of a machine's memory, in which
there are a transmit ring and a receive ring at fixed places.
"""

from __future__ import annotations

import contextlib

from sampan.errors import SampanError
from sampan.vhost.core import event
from sampan.vhost.core.memory import Memory, Region
from sampan.vhost.core.message import HEADER, WITH_FDS, Decoder, Request
from sampan.vhost.core.net import HEADER_LENGTH, MAX_FRAME, STAGING, FrameReader, FrameWriter
from sampan.vhost.core.ring import Layout, Ring
from sampan.vhost.core.session import Profile, Session

SIZE = 1 << 16
TRANSMIT, RECEIVE = 0, 0x400  # where the rings begin
RING = 16
ROUNDS = 6
FRAMES = [(bytes(HEADER_LENGTH), b"x" * 30), (bytes(HEADER_LENGTH + 5000),)]
STAGE = memoryview(bytearray(STAGING))


def one(data: bytes) -> None:
    """Use `data` both ways.

    Raises:
        AssertionError: a bound does not hold.
    """
    with contextlib.suppress(SampanError):
        _converse(data)
    for event_index in (True, False):
        memory = _memory(data)
        with contextlib.suppress(SampanError):
            _receive(FrameReader(_ring(memory, TRANSMIT, event_index, writable=False), STAGE))
        for merged in (True, False):
            ring = _ring(memory, RECEIVE, event_index, writable=True)
            with contextlib.suppress(SampanError):
                _send(FrameWriter(ring, merged=merged))


def _fence() -> None:
    """Nobody else looks at this memory."""


def _memory(data: bytes) -> Memory:
    view = memoryview(bytearray(data[:SIZE].ljust(SIZE, b"\0")))
    half = SIZE // 2  # two regions, so that spans may cross
    regions = Region(0, half, 0, 0), Region(half, half, half, half)
    return Memory(regions, (view[:half], view[half:]))


def _ring(memory: Memory, at: int, event_index: bool, *, writable: bool) -> Ring:
    used = at + 16 * RING + 64
    layout = Layout(RING, at, at + 16 * RING, used, writable, event_index, indirect=True)
    return Ring(layout, memory, _fence)


def _receive(reader: FrameReader) -> None:
    for _ in range(ROUNDS):
        frames = reader.read()
        if frames is not None and any(len(frame) > MAX_FRAME for frame in frames):
            raise AssertionError("a frame that is too long")
        reader.ring.must_notify()
        reader.ring.rest()


def _send(writer: FrameWriter) -> None:
    for _ in range(ROUNDS):
        writer.write(FRAMES)
    writer.put_back()


def _converse(data: bytes) -> None:
    decoder, memory = Decoder(), _memory(data)
    session = Session(Profile((True, False), config=b"config", is_network=True), _fence)
    while data:
        chunk, data = data[: decoder.wanted], data[decoder.wanted :]
        fds = _fds(int.from_bytes(chunk[:4], "little")) if len(chunk) == HEADER.size else 0
        message = decoder.received(chunk, tuple(range(fds)))
        if message is None:
            continue
        for each in session.message_received(message):
            if isinstance(each, event.MemoryOffered):
                session.memory_mapped(memory)
            elif isinstance(each, event.RingStarted):
                ring = session.ring(each.index)
                if ring is not None:
                    ring.give_back([head for head, _ in ring.take(RING)])
        session.data_to_send()


def _fds(request: int) -> int:
    """How many descriptors come with a message: as many as it should have."""
    if request == Request.SET_MEM_TABLE:
        return 2
    return int(request in (int(each) for each in WITH_FDS))
