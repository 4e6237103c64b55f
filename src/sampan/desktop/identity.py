"""Who a machine is, for the metadata service of its network (169.254.169.254).

The same facts that `sampan/metadata` reads from the machine's disc, for whoever asks by HTTP as
in a cloud. Neither kit knows the other's part: the disc is the machine's, the service the
network's.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from sampan.base import log
from sampan.machine.model import MachineSpec
from sampan.machine.storage import disc
from sampan.net.services.metadata import MAX_CONTENT, Identity

if TYPE_CHECKING:
    from sampan.net.runtime.usernet import UserNetwork

_DOCUMENTS = ("user-data", "config")  # NoCloud's name, and LinuxKit's
_log = log.get(__name__)


class _Entry(msgspec.Struct, frozen=True):
    content: str = ""
    entries: Entries = {}


Entries: TypeAlias = dict[str, _Entry]


def identity(spec: MachineSpec) -> Identity:
    """Who the machine of `spec` is: its name, and what a disc of it says.

    A tree of metadata in JSON may say another host name, and keys of ssh. What is on its discs
    is looked for once, now; `spec` has a MAC address.
    """
    data = _user_data(spec)
    tree: Entries = {}
    with suppress(msgspec.MsgspecError, UnicodeDecodeError, RecursionError):  # any text will do
        tree = msgspec.json.decode(data, type=Entries)
    hostname = tree.get("hostname", _Entry()).content.strip()
    keys = tree.get("ssh", _Entry()).entries.get("authorized_keys", _Entry()).content
    return Identity(
        instance_id=f"i-{spec.mac.replace(':', '')}",
        hostname=hostname or spec.name,
        public_keys=tuple(line for line in map(str.strip, keys.splitlines()) if line),
        user_data=data,
    )


def serve(network: UserNetwork, spec: MachineSpec) -> None:
    """Let the network tell its one machine who that is."""
    found = identity(spec)
    network.call(lambda inner: inner.metadata.identify(lambda address: found))


def _user_data(spec: MachineSpec) -> bytes:
    for path in spec.discs:
        for name in _DOCUMENTS:
            try:
                found = disc.content(path, name, limit=MAX_CONTENT)
            except OSError as error:  # whoever gives it to the machine says so as an error
                _log.warning("no metadata is served from %s: %s", path, error.strerror or error)
                break
            if found is not None:
                return found
    return b""
