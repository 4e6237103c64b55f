import asyncio

import pytest

from sampan.errors import UsageError
from sampan.machine.storage import growth
from sampan.machine.storage.disk import DiskError

MIB = 1 << 20


class Monitor:
    """Answers as QEMU does, for one disk of 8 MiB."""

    def __init__(self):
        self.size = 8 * MIB

    async def execute(self, command, arguments):
        if command == "query-named-block-nodes":
            image = {"virtual-size": self.size, "filename": "x", "format": "raw"}
            file = {"node-name": "disk0-file", "image": image, "ro": False}
            return [file, {"node-name": "disk0", "image": image, "ro": False}]
        assert (command, arguments["node-name"]) == ("block_resize", "disk0")
        self.size = arguments["size"]
        return {}


def grow(monitor, index, size):
    asyncio.run(growth.grow(monitor.execute, index, size))


def test_a_disk_grows_and_stays():
    monitor = Monitor()
    grow(monitor, 0, 16 * MIB)
    assert monitor.size == 16 * MIB
    grow(monitor, 0, 16 * MIB)


def test_what_is_refused():
    monitor = Monitor()
    with pytest.raises(DiskError, match="cannot shrink to 4"):
        grow(monitor, 0, 4 * MIB)
    with pytest.raises(DiskError, match="no disk 1"):
        grow(monitor, 1, 16 * MIB)
    with pytest.raises(UsageError, match="multiple of 512"):
        grow(monitor, 0, 16 * MIB + 1)
    assert monitor.size == 8 * MIB
