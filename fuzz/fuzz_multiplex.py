"""Fuzz target: a session of VPNKit's forwarder protocol, whose peer may say anything."""

from __future__ import annotations

import contextlib

from sampan.net.link import datagram, multiplex, session
from sampan.net.link.error import LinkError
from sampan.net.link.multiplex import Destination, Protocol
from sampan.net.link.session import Session, Side

CHANNELS = 16
PIECE = 64  # bytes of a read


def one(data: bytes) -> None:
    """Let a session that has channels open hear `data` in pieces, and answer what it hears of.

    The first byte says how the caller behaves: whom it closes, and how much it consumes.

    Raises:
        AssertionError: a bound was not kept, or an event came for a channel that was not there.
    """
    manner, said = data[:1] or b"\0", multiplex.greeting() + data[1:]
    subject = Session(Side.HOST, max_channels=CHANNELS)
    caller = _Caller(subject, manner[0])
    with contextlib.suppress(LinkError):
        for start in range(0, len(said), PIECE):
            for event in subject.data_received(said[start : start + PIECE]):
                caller.heard(event)
            if subject.channels > CHANNELS:
                raise AssertionError("more channels than there may be")
    subject.data_to_send()
    with contextlib.suppress(LinkError):
        datagram.Decoder().received(data)


class _Caller:
    """Keeps what it is given, up to a window for each channel, and sends as much as it may."""

    def __init__(self, subject: Session, manner: int) -> None:
        self._session = subject
        self._manner = manner
        destination = Destination(Protocol.TCP, bytes(4), 80)
        self._held = {subject.open(destination): 0 for _ in range(4)}

    def heard(self, event: session.Event) -> None:
        channel = event.channel
        match event:
            case session.Opened():
                if channel in self._held:
                    raise AssertionError("a channel was opened twice")
                self._held[channel] = 0
                if self._manner & 1:
                    self._session.close(channel)
            case session.Received(_, data):
                self._received(channel, len(data))
            case session.Writable():
                self._write(channel)
            case session.Finished():
                if self._manner & 2:
                    self._session.shutdown(channel)
            case session.Closed():
                del self._held[channel]

    def _received(self, channel: int, size: int) -> None:
        self._held[channel] += size
        if self._held[channel] > multiplex.WINDOW:
            raise AssertionError("more than a window is kept")
        if self._manner & 4:
            self._session.consumed(channel, self._held[channel])
            self._held[channel] = 0
        if self._manner & 8:
            self._session.close(channel)

    def _write(self, channel: int) -> None:
        room = self._session.room(channel)
        if self._session.send(channel, bytes(room + 1)) != room:
            raise AssertionError("what is sent is not what there was room for")
