"""Fuzz target: both sides of the agent's session, whose peer may say anything, and its copies."""

from __future__ import annotations

import contextlib
import tempfile

from sampan.base.agent import session, tree, wire
from sampan.base.agent.session import Caller, ChannelLimitError, Server, Session
from sampan.guest.remote import call
from sampan.guest.remote.fault import CallError

NONCE = bytes(range(16))
PIECE = 64  # bytes of a read
MOST_UNSENT = 4 * session.WINDOW + 4 * wire.MAX_PAYLOAD


def one(data: bytes) -> None:
    """Hear `data` as a caller and as a server, in the middle of a session; unpack it as a tree.

    The first byte says how the user behaves: whether it consumes, answers and resets.

    Raises:
        AssertionError: a bound was not kept.
    """
    manner, said = data[:1] or b"\0", data[1:]
    caller = Caller(lambda: NONCE)
    caller.hello()
    caller.received(_greeting(b"me"))
    with contextlib.suppress(ChannelLimitError):
        for _ in range(4):
            caller.open(b"{}")
    server = Server()
    server.received(_greeting(b""))
    for subject in (caller, server):
        subject.events()
        subject.data_to_send()
        _talk(subject, said, manner[0])
    with contextlib.suppress(CallError):
        call.parse(said)
    call.parse_note(said)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(tree.TreeError, OSError):
        with tree.Unpacker(folder, "copy", tree.Limits(size_bytes=1 << 20)) as unpacker:
            unpacker.feed(said)


def _greeting(info: bytes) -> bytes:
    return wire.Encoder().greet(wire.Hello(wire.VERSION, NONCE, info), filled=False)


def _talk(subject: Session, said: bytes, manner: int) -> None:
    # frames with the right checksums, so that more than the decoder is met
    encoder = wire.Encoder()
    encoder.greet(wire.Hello(wire.VERSION, NONCE, b""), filled=False)
    framed = b"".join(
        encoder.emit(said[at], said[at + 1] % 8, said[at + 2 : at + 2 + said[at + 1]])
        for at in range(0, len(said) - 2, 24)
    )
    for stream in (framed, said, _greeting(b"") + said):
        for start in range(0, len(stream), PIECE):
            subject.received(stream[start : start + PIECE])
            for event in subject.events():
                _answer(subject, event, manner)
            if subject.unsent_bytes > MOST_UNSENT:
                raise AssertionError("more waits to be sent than there may be")
            if len(subject.channels) > session.MAX_CHANNELS:
                raise AssertionError("more channels than there may be")
        if manner & 8:
            subject.data_to_send()


def _answer(subject: Session, event: session.Event, manner: int) -> None:
    if event.kind == session.RECEIVED and manner & 1:
        subject.consumed(event.channel, len(event.data))
    if event.kind == session.OPENED and isinstance(subject, Server):
        subject.send(event.channel, 1, bytes(100))
        if manner & 2:
            subject.answer(event.channel, b"{}")
    if event.kind == session.NOTED and manner & 4:
        subject.reset(event.channel)
