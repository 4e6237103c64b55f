"""What can go wrong in the guest, in words for the console."""

from __future__ import annotations


class AgentError(Exception):
    """Something failed that the owner of the system can understand."""


class DocumentError(AgentError):
    """A `config.json` or `runtime.json` that cannot be used."""
