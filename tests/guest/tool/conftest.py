"""A machine's devices as files: /sys/block and /dev in a folder."""

import pytest

from sampan.guest.tool.device import Host

SECTOR_BYTES = 512


class Bench:
    """Makes disks, partitions and discs; `host` is what programs are given."""

    def __init__(self, root):
        self.root = root
        self.sys, self.dev = root / "sys", root / "dev"
        self.dev.mkdir()
        (self.sys / "block").mkdir(parents=True)
        self.host = Host(str(self.sys), str(self.dev))

    def add(self, name, *, size=8 << 20, content=b"", parent=None):
        """A device with some content at its beginning; `parent` is the disk it is a part of."""
        folder = self.sys / "block" / (f"{parent}/{name}" if parent else name)
        folder.mkdir()
        (folder / "size").write_text(f"{size // SECTOR_BYTES}\n")
        if parent:
            (folder / "partition").write_text("1\n")
        with (self.dev / name).open("wb") as stream:
            stream.write(content)
            stream.truncate(size)
        return self.dev / name


@pytest.fixture
def bench(tmp_path):
    root = tmp_path / "bench"
    root.mkdir()
    return Bench(root)
