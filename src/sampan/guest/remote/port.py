"""The serial port that leads to the host, found by its name."""

from __future__ import annotations

import os

NAME = "dev.sampan.agent.0"
PORTS = "/sys/class/virtio-ports"


def find(folder: str = PORTS) -> str | None:
    """The device of the port, below /dev; None if the machine has none."""
    try:
        ports = os.listdir(folder)
    except FileNotFoundError:
        return None
    for port in sorted(ports):
        try:
            with open(f"{folder}/{port}/name", encoding="utf-8", errors="replace") as stream:
                if stream.read().strip() == NAME:
                    return f"/dev/{port}"
        except FileNotFoundError:
            continue  # one that has no name
    return None


def open_port(path: str) -> int:
    """The port, non-blocking.

    Raises:
        OSError: somebody else has it, or it is gone.
    """
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
