"""What stands in the way of one direction of a connection, for `host.relay`.

It may not know about flows or sockets; whatever it needs to do beside passing bytes on, it
does to the relay that it was given.
"""

from __future__ import annotations

from typing import Protocol


class Transform(Protocol):
    """One direction of a connection."""

    def received(self, data: bytes) -> bytes:
        """What to pass on now that `data` came; nothing, if it takes more to tell.

        Raises:
            MalformedError: it makes no sense; the connection ends.
        """

    def finished(self) -> bytes:
        """The stream ends here: what is still to be passed on before its end."""


class Plain:
    """Passes on what comes."""

    def received(self, data: bytes) -> bytes:
        """See `Transform.received`."""
        return data

    def finished(self) -> bytes:
        """See `Transform.finished`."""
        return b""


PLAIN = Plain()
