"""The agent on a machine's control socket: the method `agent`, and how another process uses it.

The method waits until the agent answers, and takes the connection over: from then on it carries
the protocol of `sampan.base.agent` (`relay`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from sampan.machine.agent.client import PATIENCE_S, Agent
from sampan.machine.agent.link import Link, Plug
from sampan.machine.agent.relay import Relay
from sampan.machine.supervise.client import AsyncClient
from sampan.machine.supervise.server import Call, Server

METHOD = "agent"


class AgentAsked(msgspec.Struct, frozen=True, kw_only=True):
    """`agent`: reach the agent, which may take `deadline_s` to answer."""

    deadline_s: float = PATIENCE_S


def offer(server: Server, agent: Agent) -> None:
    """Let clients of `server` reach `agent`."""

    async def serve(call: Call[AgentAsked]) -> None:
        await agent.ready(deadline_s=call.params.deadline_s)
        stream = call.upgrade()
        relay = Relay(agent.link, stream.write)
        try:
            while data := await stream.read():
                relay.received(data)
        finally:
            relay.close()

    server.add(METHOD, serve, AgentAsked)


@asynccontextmanager
async def reach(control_socket: Path, *, deadline_s: float = PATIENCE_S) -> AsyncIterator[Agent]:
    """The agent of a machine that another process runs.

    Raises:
        NoAgentError: no agent answers there within `deadline_s`.
        NotAnsweringError: nobody answers at the socket.
    """
    asked = AgentAsked(deadline_s=deadline_s)
    _, writer, _ = await AsyncClient(control_socket).upgrade(METHOD, asked)
    link = Link()
    plug = Plug(link)
    # from here on the link hears what comes; nothing has, as its side speaks first
    writer.transport.set_protocol(plug)
    plug.connection_made(writer.transport)
    try:
        yield Agent(link, patience_s=deadline_s)
    finally:
        link.close()
        writer.close()
        await asyncio.sleep(0)  # lets the transport say its last word
