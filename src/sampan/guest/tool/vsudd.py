"""The program of `sampan/vsudd`: lets the host reach Unix sockets of this machine through vsock.

    vsudd -inport 2374:unix:/run/containerd/containerd.sock [-inport …] [-detach] [-pidfile FILE]

Options are those of LinuxKit's program: a port is a number (`0x946` too) or a GUID of Hyper-V,
whose first part it is. `-syslog` is taken, and makes no difference: messages go to the standard
output.
"""

from __future__ import annotations

import os
import re
import socket

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import option
from sampan.guest.tool.relay import Relay

_ANY_CID = 0xFFFFFFFF
_BACKLOG = 128
_INPORT = re.compile(
    r"(?P<number>\d+|0[xX][0-9a-fA-F]+|[0-9a-fA-F]{8}(?=-facb-11e6-bd58-64006a7986d3:))"
    r"(-facb-11e6-bd58-64006a7986d3)?:unix:(?P<path>/.+)"
)


def parse_inport(text: str) -> tuple[int, str]:
    """The vsock port and the path of an `-inport`.

    Raises:
        AgentError: it is none.
    """
    found = _INPORT.fullmatch(text)
    if found is None:
        raise AgentError(f"-inport {text}: it has to be PORT:unix:/PATH")
    number = found["number"]
    base = 16 if found[2] or number[:2] in ("0x", "0X") else 10
    return int(number, base), found["path"]


def main(words: list[str]) -> int:
    """Run the program; the exit status."""
    inports, rest = _split(words)
    options, flags, extra = option.parse(rest, {"pidfile": ""}, ("detach", "syslog"))
    if extra or not inports:
        raise AgentError("say -inport PORT:unix:/PATH, and again for more")
    relay = Relay()
    for port, path in inports:
        relay.serve(_listen(port), socket.AF_UNIX, path)
        print(f"vsudd: port {port} leads to {path}", flush=True)
    if "detach" in flags and os.fork():
        return 0
    if options["pidfile"]:
        with open(options["pidfile"], "w", encoding="ascii") as stream:
            stream.write(f"{os.getpid()}\n")
    relay.run()
    return 0


def _split(words: list[str]) -> tuple[list[tuple[int, str]], list[str]]:
    """All `-inport`s, and the other words."""
    inports, rest, left = [], [], list(words)
    while left:
        word = left.pop(0)
        name, equals, value = word.partition("=")
        if name.lstrip("-") != "inport" or not name.startswith("-"):
            rest.append(word)
        elif equals or left:
            inports.append(parse_inport(value if equals else left.pop(0)))
        else:
            raise AgentError("the option -inport needs a value")
    return inports, rest


def _listen(port: int) -> socket.socket:
    try:
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
    except OSError as error:
        raise AgentError(f"this machine has no vsock: {error.strerror}") from error
    try:
        listener.bind((_ANY_CID, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise AgentError(f"cannot listen on vsock port {port}: {error.strerror}") from error
    return listener
