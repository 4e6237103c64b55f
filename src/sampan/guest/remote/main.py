"""The program `agent`: finds the port, and serves who is at its other end."""

from __future__ import annotations

import json
import os
import sys
import time

from sampan.base.agent import wire
from sampan.guest.remote import port
from sampan.guest.remote.place import Place
from sampan.guest.remote.server import Agent

_LOOK_AGAIN_S = 5.0


def main() -> int:
    """Serve for ever; a machine without the port may be given one later."""
    path = port.find()
    if path is None:
        sys.stderr.write(f"the machine has no port {port.NAME}: nobody can reach this agent\n")
    while path is None:
        time.sleep(_LOOK_AGAIN_S)
        path = port.find()
    try:
        descriptor = port.open_port(path)
    except OSError as error:
        sys.stderr.write(f"cannot open {path}: {error.strerror}\n")
        return 1
    Agent(descriptor, Place(), set_clock=set_clock, info=info()).run()
    return 1


def set_clock(wall_s: float) -> None:
    """Step the clock of the system.

    Raises:
        OSError: the kernel refused.
    """
    time.clock_settime(time.CLOCK_REALTIME, wall_s)


def info() -> bytes:
    """What the agent says about itself when it is greeted."""
    release = os.uname()
    said = {"agent": wire.VERSION, "kernel": release.release, "host": release.nodename}
    return json.dumps(said, separators=(",", ":")).encode()
