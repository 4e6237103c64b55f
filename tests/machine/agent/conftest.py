"""The guest's own program on this computer, at the other end of a socket."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from contextlib import asynccontextmanager

import pytest

from sampan.machine.agent.client import Agent
from sampan.machine.agent.link import Link, Plug

PROGRAM = """
import sys
from sampan.guest.remote.place import Place
from sampan.guest.remote.server import Agent
Agent(int(sys.argv[1]), Place(None), set_clock=lambda wall_s: None, info=b'{"agent":1}').run()
"""


class Guest:
    """A program that can be exchanged for a new one while the link stays."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair()
        self.theirs.setblocking(False)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.theirs.fileno())],
            pass_fds=[self.theirs.fileno()],
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self):
        self.theirs.close()
        self.ours.close()
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)


@pytest.fixture
def guest():
    there = Guest()
    yield there
    there.close()


@pytest.fixture
def agent(guest):
    """Makes an agent's client, for use in an `async with`."""

    @asynccontextmanager
    async def connected(*, started=True, patience_s=60):
        if started:
            guest.start()
        link = Link()
        await asyncio.get_running_loop().create_unix_connection(lambda: Plug(link), sock=guest.ours)
        try:
            yield Agent(link, patience_s=patience_s)
        finally:
            link.close()
            await asyncio.sleep(0)

    return connected
