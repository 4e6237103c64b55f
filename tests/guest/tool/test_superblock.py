import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base import proc
from sampan.guest.tool import superblock
from sampan.machine.storage import iso

UUID = "01234567-89ab-4def-8123-456789abcdef"


def needs(tool):
    return pytest.mark.skipif(not proc.has_tool(tool), reason=f"no {tool}")


def place(*pieces):
    head = bytearray(65536 + 1024)
    for offset, content in pieces:
        head[offset : offset + len(content)] = content
    return bytes(head)


@needs("mke2fs")
@pytest.mark.parametrize("kind", ["ext2", "ext3", "ext4"])
def test_what_mke2fs_made(kind, tmp_path):
    path = tmp_path / "disk"
    command = [proc.find_tool("mke2fs"), "-q", "-t", kind, "-L", "data", "-U", UUID, path, "8M"]
    subprocess.run(command, check=True)
    found = superblock.probe(str(path))
    assert (found.kind, found.label, found.uuid) == (kind, "data", UUID)


def test_discs(tmp_path):
    path = tmp_path / "disc"
    path.write_bytes(iso.build("cidata", {"user-data": b""}))
    found = superblock.probe(str(path))
    assert (found.kind, found.label) == ("iso9660", "cidata")


def test_others():
    raw = bytes.fromhex(UUID.replace("-", ""))
    xfs = superblock.parse(place((0, b"XFSB"), (32, raw), (108, b"data")))
    btrfs = superblock.parse(place((65600, b"_BHRfS_M"), (65568, raw), (65835, b"data")))
    assert [(each.kind, each.label, each.uuid) for each in (xfs, btrfs)] == [
        ("xfs", "data", UUID),
        ("btrfs", "data", UUID),
    ]
    fat32 = place((510, b"\x55\xaa"), (82, b"FAT32   "), (71, b"CIDATA     "), (67, b"\4\3\2\1"))
    fat16 = place((510, b"\x55\xaa"), (54, b"FAT16   "), (43, b"CIDATA     "), (39, b"\4\3\2\1"))
    for head in (fat32, fat16):
        found = superblock.parse(head)
        assert (found.kind, found.label, found.uuid) == ("vfat", "CIDATA", "0102-0304")


def test_nothing_known(tmp_path):
    assert superblock.parse(place()) is None
    assert superblock.probe(str(tmp_path / "missing")) is None


@given(st.binary(max_size=2000))
def test_any_bytes_are_taken(head):
    found = superblock.parse(head)
    assert found is None or found.kind in repr(found)
