"""A capture that another process makes, copied to a sink block by block.

It comes in pieces, cut anywhere. Whole blocks are handed on only, and each file of a sink that
begins new ones gets the heads that its frames take, and the names known last: whenever the
copying ends, all files can be read.
"""

from __future__ import annotations

from collections import deque

from sampan.net.link.pcapng import Splitter
from sampan.net.runtime.view.capture import Sink

MAX_NAMES = 1000  # blocks of them that a following file begins with


class Copied:
    """One capture on its way to `sink`."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._splitter = Splitter()
        self._heads: list[bytes] = []
        self._names: deque[bytes] = deque(maxlen=MAX_NAMES)
        self._opening = b""  # of the next file

    def received(self, piece: bytes) -> None:
        """A piece came.

        Raises:
            LinkError: it is no capture.
            OSError: the sink cannot take it.
        """
        blocks = self._splitter.received(piece)
        if self._sink.look():
            self._opening = self._known()
        for block in blocks:
            if block.is_names:
                self._names.append(block.data)
            elif not block.is_packet:
                self._heads.append(block.data)
        data = b"".join(block.data for block in blocks)
        if data:
            opening, self._opening = self._opening, b""
            if self._sink.write(opening + data):
                self._opening = self._known()

    def _known(self) -> bytes:
        return b"".join((*self._heads, *self._names))
