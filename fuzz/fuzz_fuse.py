"""Fuzz target: what a guest asks of a shared folder, and what a parent says of it.

The input is a row of requests, each with two bytes in front that say how long it is. There is a
real folder behind it, and next to it something that nobody may reach. One of the tasks may become
the teller.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from sampan.errors import SampanError
from sampan.vhost.core.fuse import control, record
from sampan.vhost.core.fuse.wire import IN_HEADER, OUT_HEADER, Op
from sampan.vhost.runtime.fuse.owner import RecordedOwners
from sampan.vhost.runtime.fuse.server import Server
from sampan.vhost.runtime.fuse.share import Setting, share
from sampan.vhost.runtime.fuse.teller import Teller

SECRET = "what nobody may read"
LIMIT = 64 + 128  # descriptors
ROOM = 70_000
MAX_REQUESTS = 40
TOKEN = b"token"
STAGE = control.parse(
    b'{"stage": [{"did": "create", "path": "new"}, {"did": "delete", "path": "gone"},'
    b' {"did": "rename", "path": "old", "to": "file"}, {"did": "modify", "path": "file"}]}'
)
SLOW = (Op.SYNCFS, Op.FSYNC, Op.FSYNCDIR, Op.FALLOCATE)  # of the disk, not of ours


def one(data: bytes) -> None:
    """Ask all that.

    Raises:
        AssertionError: a bound does not hold.
    """
    record.parse(data)
    with suppress(SampanError):
        control.parse(data)
    with tempfile.TemporaryDirectory(prefix="sampan-fuzz-") as made:
        base = Path(made)
        folder = base / "shared"
        folder.mkdir()
        (base / "secret").write_text(SECRET)
        (folder / "file").write_text("content")
        (folder / "up").symlink_to("..")
        (folder / "below").mkdir()
        _ask(folder, data)
        assert sorted(path.name for path in base.iterdir()) == ["secret", "shared"]
        assert (base / "secret").read_text() == SECRET
        for path in folder.rglob("*"):  # whatever modes it has now
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)


def _ask(folder: Path, data: bytes) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208  one descriptor, at once
    served = share(folder, RecordedOwners(), Setting(), LIMIT)
    teller = Teller(served, lambda: 0.0)
    teller.expect(TOKEN)
    assert isinstance(STAGE, control.Stage)
    teller.stage(STAGE.items)
    server = Server(served, lambda: 0, teller=teller)
    try:
        for _ in range(MAX_REQUESTS):
            size = int.from_bytes(data[:2], "little")
            question, data = data[2 : 2 + size], data[2 + size :]
            if len(question) >= IN_HEADER.size:
                _one_request(server, question)
            if not data:
                break
        assert len(os.listdir("/proc/self/fd")) <= before + LIMIT  # noqa: PTH208
    finally:
        served.close()


def _one_request(server: Server, question: bytes) -> None:
    _, op, *rest = IN_HEADER.unpack_from(question)
    if op in SLOW:
        return
    # a length that is right, or hardly any request would be more than a wrong length
    whole = IN_HEADER.pack(len(question), op, *rest) + question[IN_HEADER.size :]
    room = memoryview(bytearray(ROOM))
    with suppress(SampanError):
        size = server.handle([memoryview(whole)], [room])
        assert size in (0, OUT_HEADER.unpack_from(room)[0])
        assert SECRET.encode() not in bytes(room[:size])
    assert server.complaints == 0, "a fault of ours"
