"""What can go wrong while a call is served: told to the caller, and the agent goes on."""

from __future__ import annotations


class CallError(Exception):
    """A call cannot be served; the text says why."""
