"""Calling the agent inside a machine: `client.Agent` is what users see.

`link` and `channel` carry the calls, `program` and `transfer` are kinds of them; `relay` and
`served` let other processes call the agent of a machine that this one runs.
"""

from sampan.machine.agent.client import Agent, Listening
from sampan.machine.agent.error import (
    AgentError,
    AgentLostError,
    AgentTimeoutError,
    NoAgentError,
)
from sampan.machine.agent.program import Command, ExecError, ExecResult, Program, Window

__all__ = [
    "Agent",
    "AgentError",
    "AgentLostError",
    "AgentTimeoutError",
    "Command",
    "ExecError",
    "ExecResult",
    "Listening",
    "NoAgentError",
    "Program",
    "Window",
]
