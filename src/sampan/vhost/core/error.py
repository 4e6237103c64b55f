"""The peer's faults: the front-end's, or the driver's in the machine. They cost the session."""

from __future__ import annotations

from sampan.errors import SampanError


class RemoteProtocolError(SampanError):
    """The front-end or the machine's driver did what the protocol forbids. End the session."""
