"""Discs that tell a machine who it is, in the two forms that guests know.

LinuxKit's: one file `config`. NoCloud, of cloud-init: a volume called `cidata` with `user-data`,
`meta-data` and, perhaps, `network-config`. The same data gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

from sampan.base import fs
from sampan.errors import UsageError
from sampan.machine.storage import iso

LABEL = "config"
NOCLOUD_LABEL = "cidata"


def disc(data: bytes) -> bytes:
    """The disc of LinuxKit's form.

    Raises:
        UsageError: the data is too large.
    """
    return iso.build(LABEL, {"config": data})


def nocloud(user_data: bytes, meta_data: bytes = b"", network_config: bytes | None = None) -> bytes:
    """The disc of the form NoCloud.

    Raises:
        UsageError: the data is too large.
    """
    files = {"user-data": user_data, "meta-data": meta_data}
    if network_config is not None:
        files["network-config"] = network_config
    return iso.build(NOCLOUD_LABEL, files)


def read_data(path: Path) -> bytes:
    """The content of a file with data for a disc.

    Raises:
        UsageError: it cannot be read, or is too large.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(iso.MAX_CONTENT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > iso.MAX_CONTENT_BYTES:
        raise UsageError(f"{path} has more than {iso.MAX_CONTENT_BYTES >> 20} MiB")
    return data


def write(path: Path, content: bytes) -> None:
    """Write a disc, whole or not at all; for its owner alone, because it may hold keys.

    Raises:
        UsageError: it cannot be written there.
    """
    try:
        fs.write_atomically(path, content, mode=0o600)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
