"""What a machine has besides processors and memory: disks, discs, shares, vsock. Frozen values.

Pure. Which of them a driver can give a machine is `driver.Capability`.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

HOST_CID = 2  # virtio 1.2, 5.10.4: well-known
MIN_GUEST_CID = 3
MAX_GUEST_CID = 2**32 - 2


class DiskFormat(StrEnum):
    """How a disk is kept in its file."""

    RAW = "raw"
    QCOW2 = "qcow2"


class Disk(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A disk in a file, seen by the guest as /dev/vda, vdb … in the order of the spec."""

    path: Path
    format: DiskFormat = DiskFormat.RAW
    read_only: bool = False


class ShareKind(StrEnum):
    """How a folder of the host comes into the guest."""

    VIRTIOFS = "virtiofs"
    PLAN9 = "9p"


class Owners(StrEnum):
    """Where a virtiofs share keeps whose its files are."""

    HOST = "host"  # as the host has it: `chown` in the guest is one on the host
    ATTRIBUTES = "attributes"  # in extended attributes: needs no privilege


class Share(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A folder of the host, with a `tag`; the guest's boot program mounts it at `target`.

    Without a target the system mounts it itself. With `events` those who watch the folder in the
    guest hear what the host does there, by the agent (`sharing.teller`). `owners` None: those of
    the host for root, else in attributes.
    """

    source: Path
    tag: str
    target: str = ""
    read_only: bool = False
    kind: ShareKind = ShareKind.VIRTIOFS
    events: bool = False
    owners: Owners | None = None


class Vsock(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Sockets between host and guest; each of `ports` of the guest has a Unix socket of its own.

    `folder` is where those sockets are; None: in the machine's runtime folder. While questions and
    answers follow each other at once, a `wakeful` device does not sleep in between.
    """

    cid: int = MIN_GUEST_CID
    ports: tuple[int, ...] = ()
    folder: Path | None = None
    wakeful: bool = True
