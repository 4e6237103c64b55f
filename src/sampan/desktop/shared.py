"""The network that machines share when they ask for it: one process, started by the first.

It is a `sampan net serve` of a fixed name below the control folder, and ends by itself a while
after the last machine left. A machine's address, name and published ports there are kept for it
before it starts, and given back when it has ended.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from sampan.base import fs, log, proc, unixsocket
from sampan.errors import SampanError
from sampan.net.services.forward import Forward

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client

NAME = "shared"
IDLE_S = 60
_LOG_BYTES = 4 << 10
_IN_BACKGROUND = ("sh", "-c", '"$@" &', "sh")  # nobody's child: it may outlive us, or end before
_log = log.get(__name__)


class Member(msgspec.Struct, frozen=True):
    """A machine's place on the network. `forwards` have their ports filled in."""

    address: str
    forwards: tuple[Forward, ...]


def link_path(folder: Path, kind: str) -> Path:
    """Where machines connect: `kind` is `qemu` or `vhost-user`."""
    return folder / f"{NAME}.{kind}"


@contextmanager
def member(
    folder: Path, *, mac: str, name: str, address: str, forwards: tuple[Forward, ...]
) -> Iterator[Member]:
    """Make room on the network for a machine that is about to start; started if it is not there.

    Raises:
        SampanError: the network cannot be started or refuses; another machine of that name runs.
        UsageError: the address is not the network's to give.
        PortTakenError: a port is taken.
    """
    from sampan.net.runtime.control.model import Place, Reservation

    client = _network(folder)
    if any(mac in link.macs for link in client.links()):
        raise SampanError(
            f"a machine called {name} is on the shared network already",
            hint="call this one something else: --name",
        )
    with ExitStack() as stack:
        kept = client.reserve(Reservation(mac=mac, name=name, address=address))
        stack.callback(_unless_gone, partial(client.end_reservation, mac))
        made = []
        for wanted in forwards:
            aimed = msgspec.structs.replace(wanted, guest=wanted.guest or kept.address)
            (listening,) = client.expose(aimed)
            place = Place(
                bind=listening.bind, port=listening.port, path=listening.path,
                protocol=listening.protocol,
            )  # fmt: skip
            stack.callback(_unless_gone, partial(client.unexpose, place))
            made.append(listening)
        yield Member(kept.address, tuple(made))


def _unless_gone(give_back: Callable[[], object]) -> None:
    """What a network that has ended held for us needs no giving back."""
    try:
        give_back()
    except SampanError as error:
        _log.info("the shared network: %s", error)


def _network(folder: Path) -> Client:
    """The control client of the network, which runs when this returns."""
    from sampan.net.runtime.control.client import Client

    control = folder / f"{NAME}.sock"
    with fs.locked(folder / f"{NAME}.lock"):
        if not unixsocket.is_served(control):
            _start(folder)
    return Client(control)


def _start(folder: Path) -> None:
    messages = folder / f"{NAME}.log"
    reading, ready = os.pipe()
    with os.fdopen(reading, "rb", buffering=0) as started:
        try:
            with messages.open("wb") as output:
                proc.start(
                    (
                        *_IN_BACKGROUND, sys.executable, "-m", "sampan", "--quiet", "net", "serve", "--name", NAME,
                        "--control", str(folder / f"{NAME}.sock"),
                        "--listen", f"qemu:{link_path(folder, 'qemu')}",
                        "--listen", f"vhost-user:{link_path(folder, 'vhost-user')}",
                        "--until-idle", str(IDLE_S), "--ready-fd", str(ready),
                    ),
                    stdout=output, stderr=output, new_session=True, pass_fds=(ready,),
                ).wait()  # fmt: skip
        finally:
            os.close(ready)
        if started.read(1) == b"1":
            return
    said = messages.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip()
    raise SampanError(f"the shared network did not start: {said or 'it said nothing'}")
