"""A TAP device in another network namespace: containers, `unshare -n`, `ip netns`.

    target (a process, or a path) → namespace → go there → make the device, configure it → fd

The device is made and configured from inside the namespace, and only its descriptor comes back;
the rest of this process stays where it is. If the namespace is owned by our user namespace, a
thread goes there, which takes root. If it is owned by another one, as those of unprivileged
containers are, a process of a single thread is needed: `attach.visitor`.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
from pathlib import Path

import msgspec

from sampan.base import proc
from sampan.errors import SampanError
from sampan.net.runtime.attach import namespace
from sampan.net.runtime.attach.namespace import Namespace
from sampan.net.runtime.attach.tap import TapLink, open_tap
from sampan.net.runtime.rtnetlink import Rtnetlink

VISITOR = "sampan.net.runtime.attach.visitor"
QUEUE = 4096  # frames that wait while we are busy; 1000, if one says nothing, is 12 ms of UDP
_PATIENCE_S = 20.0
_MAX_MESSAGE = 65536


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A device as it shall be; addresses are raw bytes. What is empty is left to others.

    IPv6 addresses and routes come by router advertisements.
    """

    name: str = "tap0"
    address: bytes = b""
    prefix_length: int = 24
    gateway: bytes = b""
    mtu: int = 1500
    mac: bytes = b""
    offload: bool = True


class Failure(msgspec.Struct, frozen=True):
    """Why a visitor comes back without a device."""

    message: str
    hint: str | None


def attach(target: int | Path, interface: Interface) -> TapLink:
    """A link to a new device in the network namespace of a process, or at a path.

    The device is up and configured, and so is the loopback device beside it. It lives as long
    as the link.

    Raises:
        SampanError: there is no such namespace, it is not allowed, or the name is taken there.
    """
    with namespace.find(target) as found:
        fd = _by_thread(found, interface) if found.user is None else _by_visitor(found, interface)
    return TapLink(fd, offload=interface.offload)


def make(interface: Interface) -> int:
    """Make and configure a device in the namespace of this thread; its descriptor.

    Raises:
        SampanError: it cannot be made, or not be configured so.
    """
    fd = open_tap(interface.name, offload=interface.offload)
    try:
        _configure(interface)
    except OSError as error:
        os.close(fd)
        raise SampanError(
            f"cannot configure {interface.name}: {error.strerror or error}",
            hint="is there another device with its address, or another default route?",
        ) from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def _configure(interface: Interface) -> None:
    with Rtnetlink() as kernel:
        kernel.set_link(socket.if_nametoindex("lo"), up=True)
        index = socket.if_nametoindex(interface.name)
        kernel.set_link(index, mtu=interface.mtu, mac=interface.mac, queue=QUEUE)
        if interface.address:
            kernel.add_address(index, interface.address, interface.prefix_length)
        kernel.set_link(index, up=True)
        if interface.gateway:
            kernel.add_default_route(index, interface.gateway)


def _by_thread(found: Namespace, interface: Interface) -> int:
    outcome: list[int | BaseException] = []

    def visit() -> None:
        try:
            found.join()
            outcome.append(make(interface))
        except BaseException as error:  # noqa: BLE001  it is raised where it was asked for
            outcome.append(error)

    thread = threading.Thread(target=visit, name="sampan-net-visitor")
    thread.start()
    thread.join()
    [result] = outcome
    if isinstance(result, BaseException):
        raise result
    return result


def _by_visitor(found: Namespace, interface: Interface) -> int:
    assert found.user is not None
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.settimeout(_PATIENCE_S)
        fds = theirs.fileno(), found.network, found.user
        child = proc.start(
            [sys.executable, "-m", VISITOR, *map(str, fds), str(found)], pass_fds=fds
        )  # fmt: skip
        try:
            theirs.close()
            ours.send(msgspec.msgpack.encode(interface))
            data, passed, _, _ = socket.recv_fds(ours, _MAX_MESSAGE, 1)
        except OSError as error:  # it took too long, or is dead
            raise SampanError(f"cannot enter {found}: {error.strerror or error}") from error
        finally:
            child.kill()
            child.wait()
    if passed:
        return passed[0]
    if not data:
        raise SampanError(f"cannot enter {found}: the helper process ended early")
    failure = msgspec.msgpack.decode(data, type=Failure)
    raise SampanError(failure.message, hint=failure.hint)
