"""What can go wrong between the host and the agent in a machine."""

from __future__ import annotations

from sampan.machine.error import MachineError, MachineTimeoutError


class AgentError(MachineError):
    """The agent refused, or did not do, what was asked of it."""


class NoAgentError(AgentError):
    """Nobody answers inside the machine, or its driver has no way to reach it."""


class AgentLostError(AgentError):
    """The conversation broke off: the machine was restored, has ended, or its agent was restarted."""


class AgentTimeoutError(MachineTimeoutError):
    """A program in the machine took longer than it was given, and was ended."""
