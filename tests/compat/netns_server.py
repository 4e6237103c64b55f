"""Lives in a network namespace and hands out its sockets and TAP devices: see conftest.py.

It makes the namespaces (network and mount; for who is not root, a user namespace around them),
so that what a test does there costs the host nothing and needs no privileges. Requests come as
JSON on the socket at descriptor 0; each is answered with one descriptor, or with an errno.
"""

import fcntl
import json
import os
import socket
import struct
from pathlib import Path

_SET_INTERFACE, _SET_OFFLOAD, _SET_HEADER = 0x400454CA, 0x400454D0, 0x400454D8
_TAP, _NO_INFO, _OFFLOAD = 0x0002, 0x1000, 0x4000


def tap(name: str, offload: bool) -> int:
    """A TAP device, as `sampan.net.runtime.attach.tap.open_tap` makes it."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = _TAP | _NO_INFO | (_OFFLOAD if offload else 0)
    fcntl.ioctl(fd, _SET_INTERFACE, struct.pack("16sH22x", name.encode(), flags))
    if offload:
        fcntl.ioctl(fd, _SET_HEADER, struct.pack("i", 10))
        fcntl.ioctl(fd, _SET_OFFLOAD, 7)
    return fd


def hurry() -> None:
    """Do not wait seconds for a router, and for who else may have our IPv6 address."""
    for name in ("router_solicitation_delay", "dad_transmits"):
        Path("/proc/sys/net/ipv6/conf/default", name).write_text("0")


def serve(control: socket.socket) -> None:
    """Answer requests until the other end is closed."""
    while line := control.recv(4096):
        request = json.loads(line)
        try:
            if "tap" in request:
                fd = tap(request["tap"], request["offload"])
            else:
                fd = socket.socket(*request["socket"]).detach()
        except OSError as error:
            control.send(str(error.errno).encode())
            continue
        socket.send_fds(control, [b"0"], [fd])
        os.close(fd)


if __name__ == "__main__":
    hurry()
    with socket.socket(fileno=0) as end:
        end.send(b"ready")
        serve(end)
