"""A process that goes to a namespace, makes a device there, and hands its descriptor back.

    python -m sampan.net.runtime.attach.visitor SOCKET NETWORK USER SHOWN

Three descriptors it was given: a socket to its parent, and two namespaces. It hears an
`Interface` and answers with a descriptor, or with a `Failure`. It is a process because joining a
user namespace takes one that has a single thread, and there is no way back.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence

import msgspec

from sampan.errors import SampanError
from sampan.net.runtime.attach.namespace import Namespace
from sampan.net.runtime.attach.netns import Failure, Interface, make

_MAX_MESSAGE = 65536


def visit(parent: socket.socket, target: Namespace) -> None:
    """Do what `parent` asks for, in `target`."""
    interface = msgspec.msgpack.decode(parent.recv(_MAX_MESSAGE), type=Interface)
    try:
        target.join()
        fd = make(interface)
    except SampanError as error:
        parent.send(msgspec.msgpack.encode(Failure(error.message, error.hint)))
        return
    socket.send_fds(parent, [b"\0"], [fd])
    os.close(fd)


def main(arguments: Sequence[str]) -> None:
    """Run with the arguments of the command line."""
    connection, network, user = map(int, arguments[:3])
    with socket.socket(fileno=connection) as parent:
        with Namespace(network, user, arguments[3]) as target:
            visit(parent, target)


if __name__ == "__main__":
    main(sys.argv[1:])
