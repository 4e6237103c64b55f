"""What programs of the host say to be connected to a port of the guest; and names of sockets.

Two dialects are spoken at one socket. HyperKit's clients write 18 bytes, address and port in
hexadecimal, `00000003.00000946` and a newline, and go on at once: refusal is the end of the
connection. Firecracker's (and Cloud Hypervisor's, Kata's, vhost-device-vsock's) write
`CONNECT 2374` and wait for `OK 1073741824`, the port of their own end.

In the other direction a guest that connects to a port of the host reaches whoever listens at a
socket with that port in its name: `00000002.00000946` for HyperKit, `v.sock_2374` for
Firecracker.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from sampan.vhost.core.vsock_packet import HOST_CID

MAX_LENGTH = 64  # of a line, with its end
MAX_PORT = (1 << 32) - 2  # the last number means "any"
CONNECT = "connect"
UNIFIED = "v.sock"
_HYPERKIT = re.compile(rb"([0-9a-fA-F]{8})\.([0-9a-fA-F]{8})\n")
_FIRECRACKER = re.compile(rb"[Cc][Oo][Nn][Nn][Ee][Cc][Tt][ \t]+([0-9]{1,10})[ \t]*\r?\n")


@dataclass(frozen=True, slots=True)
class Greeting:
    """Somebody wants to be connected to `port`, of the guest with this `cid` if it says so."""

    port: int
    cid: int | None
    wants_answer: bool


def read(line: bytes) -> Greeting | None:
    """What a line says, which ends in a newline; None: it makes no sense."""
    if found := _HYPERKIT.fullmatch(line):
        made = Greeting(int(found[2], 16), int(found[1], 16), wants_answer=False)
    elif found := _FIRECRACKER.fullmatch(line):
        made = Greeting(int(found[1]), None, wants_answer=True)
    else:
        return None
    return made if made.port <= MAX_PORT else None


def hyperkit(cid: int, port: int) -> bytes:
    """The line of a client in HyperKit's dialect."""
    return b"%08x.%08x\n" % (cid, port)


def answer(port: int) -> bytes:
    """The answer for those who want one; `port` is that of the host's end."""
    return b"OK %d\n" % port


def names_for_host_port(port: int) -> tuple[str, str]:
    """The sockets where programs of the host listen for connections of the guest, best first."""
    return f"{HOST_CID:08x}.{port:08x}", f"{UNIFIED}_{port}"


def names_for_guest_port(cid: int, port: int) -> tuple[str, str]:
    """The socket that leads to a port of the guest, and the name of a link to it."""
    return f"{cid:08x}.{port:08x}", f"guest.{port:08x}"
