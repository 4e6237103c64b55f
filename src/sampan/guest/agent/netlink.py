"""Network interfaces by route netlink (rtnetlink(7)): make, move to a namespace.

`move`, `create` and `create_veth` are messages (pure); `request` sends one and waits for the
kernel's answer.
"""

from __future__ import annotations

import os
import socket
import struct

from sampan.guest.agent.document import Interface
from sampan.guest.agent.fault import AgentError

_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_INTERFACE = struct.Struct("=BxHiII")  # family, type, index, flags, change
_ATTRIBUTE = struct.Struct("=HH")  # length, type

_NEW_LINK = 16
_ERROR = 2
_REQUEST_ACK = 0x1 | 0x4
_CREATE_EXCLUSIVE = 0x200 | 0x400
_IFNAME = 3
_LINKINFO = 18
_NET_NS_PID = 19
_INFO_KIND = 1
_INFO_DATA = 2
_VETH_PEER = 1


def move(name: str, pid: int) -> bytes:
    """Move interface `name` into the network namespace of process `pid`."""
    return _new_link(0, _text(_IFNAME, name) + _number(_NET_NS_PID, pid))


def create(name: str, kind: str, pid: int | None) -> bytes:
    """Make an interface of that kind here, or in the namespace of process `pid`."""
    attributes = _text(_IFNAME, name) + _attribute(_LINKINFO, _text(_INFO_KIND, kind))
    if pid is not None:
        attributes += _number(_NET_NS_PID, pid)
    return _new_link(_CREATE_EXCLUSIVE, attributes)


def create_veth(name: str, peer: str) -> bytes:
    """Make a pair of connected interfaces here."""
    other = _INTERFACE.pack(0, 0, 0, 0, 0) + _text(_IFNAME, peer)
    data = _attribute(_INFO_DATA, _attribute(_VETH_PEER, other))
    info = _attribute(_LINKINFO, _text(_INFO_KIND, "veth") + data)
    return _new_link(_CREATE_EXCLUSIVE, _text(_IFNAME, name) + info)


def messages(interface: Interface, pid: int) -> tuple[bytes, ...]:
    """The requests that give `interface` to the network namespace of process `pid`."""
    if not interface.add:
        return (move(interface.name, pid),)
    if interface.add == "veth":
        return (create_veth(interface.name, interface.peer), move(interface.name, pid))
    if interface.create_in_root:
        return (create(interface.name, interface.add, None), move(interface.name, pid))
    return (create(interface.name, interface.add, pid),)


def give(interface: Interface, pid: int) -> None:
    """Carry out `messages`.

    Raises:
        AgentError: the kernel refused; says what was wanted.
    """
    try:
        for message in messages(interface, pid):
            request(message)
    except OSError as error:
        kind = f" ({interface.add})" if interface.add else ""
        raise AgentError(f"interface {interface.name}{kind}: {error.strerror}") from error


def request(message: bytes) -> None:
    """Send one message to the kernel and wait for its answer.

    Raises:
        OSError: the kernel refused.
    """
    kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    with kernel:
        kernel.bind((0, 0))
        kernel.send(message)
        answer = kernel.recv(65536)
    _, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind == _ERROR:
        (number,) = struct.unpack_from("=i", answer, _HEADER.size)
        if number:
            raise OSError(-number, os.strerror(-number))


def _new_link(flags: int, attributes: bytes) -> bytes:
    body = _INTERFACE.pack(0, 0, 0, 0, 0) + attributes
    return _HEADER.pack(_HEADER.size + len(body), _NEW_LINK, _REQUEST_ACK | flags, 1, 0) + body


def _attribute(kind: int, data: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(data)
    return _ATTRIBUTE.pack(length, kind) + data + bytes(-length % 4)


def _text(kind: int, text: str) -> bytes:
    return _attribute(kind, os.fsencode(text) + b"\0")


def _number(kind: int, value: int) -> bytes:
    return _attribute(kind, struct.pack("=I", value))
