"""The machine kit has one asyncio core, and a façade without asyncio that has the same names."""

import ast
import inspect
import textwrap
from typing import NamedTuple

import pytest

from sampan.machine.agent.blocking import BlockingAgent, BlockingProgram
from sampan.machine.agent.client import Agent
from sampan.machine.agent.program import Program
from sampan.machine.blocking import BlockingConsole, Machine
from sampan.machine.console import Console
from sampan.machine.lifecycle import VM
from sampan.machine.supervise.blocking import Client
from sampan.machine.supervise.client import AsyncClient
from sampan.machine.vsock import BlockingEndpoint, Endpoint


class Pair(NamedTuple):
    core: type
    facade: type
    core_only: dict[str, str] = {}  # noqa: RUF012  names, and parameters as `name(parameter)`: why
    facade_only: dict[str, str] = {}  # noqa: RUF012


ASYNCIO = "part of asyncio.Protocol: asyncio calls it"
PAIRS = (
    Pair(VM, Machine, {"journal": "for those who add events of their own; others have events()"}),
    Pair(
        Console,
        BlockingConsole,
        {
            "connection_made": ASYNCIO, "data_received": ASYNCIO, "connection_lost": ASYNCIO,
            "eof_received": ASYNCIO, "pause_writing": ASYNCIO, "resume_writing": ASYNCIO,
            "held": "for those who put one process in the place of another",
        },
        {
            "position": "transcript is text there: this is transcript.end",
            "since": "transcript is text there: this is transcript.since()",
        },
    ),
    Pair(Agent, BlockingAgent, {"link": "what calls of our own kinds are made with, by asyncio"}),
    Pair(Program, BlockingProgram),
    Pair(
        Endpoint,
        BlockingEndpoint,
        {
            "connect_blocking": "it is connect() there",
            "device_path": "for the driver, which is the core's",
        },
    ),
    Pair(
        AsyncClient,
        Client,
        {},
        {
            "stop(timeout_s)": "asyncio.timeout is for asyncio",
            "call(timeout_s)": "asyncio.timeout is for asyncio",
            "call(waits)": "asyncio.timeout is for asyncio",
        },
    ),
)  # fmt: skip


def _names(kind):
    """The public names of `kind`, its attributes, and the parameters of its methods."""
    body = textwrap.dedent(inspect.getsource(kind.__init__))
    names = {
        node.attr
        for node in ast.walk(ast.parse(body))
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    }
    for name in dir(kind):
        member = inspect.unwrap(getattr(kind, name))
        names.add(name)
        if inspect.isroutine(member) and not name.startswith("_"):
            names |= {
                f"{name}({parameter})"
                for parameter in inspect.signature(member).parameters
                if parameter not in ("self", "cls")
            }
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.facade.__name__)
def test_the_facade_has_the_names_of_the_core(pair):
    core, facade = _names(pair.core), _names(pair.facade)
    for there, here, excepted in (
        (core, facade, pair.core_only),
        (facade, core, pair.facade_only),
    ):
        missing = {name for name in there - here if name.partition("(")[0] not in excepted}
        assert missing - set(excepted) == set()
        assert set(excepted) <= there - here, "an exception that is none any more"
