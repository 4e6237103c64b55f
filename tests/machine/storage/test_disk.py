import errno
import fcntl
import os
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.base import fs, proc
from sampan.errors import UsageError
from sampan.machine.device import Disk, DiskFormat
from sampan.machine.storage import disk
from sampan.machine.storage.disk import DiskError, Wanted

MIB = 1 << 20
GIB = 1 << 30
needs_qemu_img = pytest.mark.skipif(not proc.has_tool("qemu-img"), reason="no qemu-img")


def qcow2(size=GIB, *, version=3, backing=0, features=0):
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 0, 16, size)
    return header.ljust(72, b"\0") + struct.pack(">Q", features)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("data.img", Wanted(path=Path("data.img"))),
        ("file=data.img", Wanted(path=Path("data.img"))),
        ("size=1G", Wanted(size_bytes=GIB)),
        ("size=2", Wanted(size_bytes=2 * GIB)),
        ("data.img,size=2G,format=raw", Wanted(path=Path("data.img"), size_bytes=2 * GIB, format=DiskFormat.RAW)),
        ("size=512M,format=qcow2,file=a=b", Wanted(path=Path("a=b"), size_bytes=512 * MIB, format=DiskFormat.QCOW2)),
        ("a=b,size=64K", Wanted(path=Path("a=b"), size_bytes=65536)),
    ],
)  # fmt: skip
def test_what_is_asked_for(text, wanted):
    assert disk.parse(text) == wanted


@pytest.mark.parametrize(
    "text",
    ["", "a,b", "size=", "size=x", "size=0", "size=-1G", "size=2000T", "a,format=vmdk",
     "formad=raw,size=1G", "sizee=1G", "a,size=1G,size=2G", "a,file=b", "a,speed=9", ",size=1G"],
)  # fmt: skip
def test_what_makes_no_sense(text):
    with pytest.raises(UsageError):
        disk.parse(text)


@given(st.text())
def test_any_text_is_parsed_or_refused(text):
    with suppress(UsageError):
        assert disk.parse(text) != Wanted()


def test_sizes_are_whole_sectors():
    assert disk.parse("size=0.0000001G").size_bytes == 512


def test_a_raw_disk_is_made_grown_and_kept(tmp_path):
    path = tmp_path / "state" / "disk0.img"
    made = disk.prepare(Wanted(size_bytes=MIB, format=DiskFormat.RAW), path)
    assert made == Disk(path=path, format=DiskFormat.RAW)
    assert path.stat().st_size == MIB
    assert path.stat().st_blocks == 0, "it is sparse"
    path.write_bytes(b"kept".ljust(MIB, b"\0"))
    disk.prepare(Wanted(path=path), tmp_path / "unused")
    disk.prepare(Wanted(path=path, size_bytes=2 * MIB), tmp_path / "unused")
    assert path.stat().st_size == 2 * MIB
    assert path.read_bytes()[:4] == b"kept"
    with pytest.raises(DiskError, match=r"has 2.00 MiB and cannot shrink to 1.00 MiB"):
        disk.prepare(Wanted(path=path, size_bytes=MIB), tmp_path / "unused")
    assert path.stat().st_size == 2 * MIB
    assert [each.name for each in tmp_path.iterdir()] == ["state"]
    assert [each.name for each in path.parent.iterdir()] == ["disk0.img"]


@needs_qemu_img
def test_a_qcow2_disk_is_made_and_grown(tmp_path):
    path = tmp_path / "a,b disk.img"
    made = disk.prepare(Wanted(size_bytes=GIB), path)
    assert made == Disk(path=path, format=DiskFormat.QCOW2)
    assert path.stat().st_size < MIB
    assert disk.facts(path) == disk.Facts(format=DiskFormat.QCOW2, size_bytes=GIB)
    disk.prepare(Wanted(size_bytes=3 * GIB), path)
    assert disk.facts(path).size_bytes == 3 * GIB
    with pytest.raises(DiskError, match="cannot shrink"):
        disk.prepare(Wanted(size_bytes=2 * GIB), path)


def test_a_disk_that_is_not_there_needs_a_size(tmp_path):
    with pytest.raises(DiskError, match="there is no disk") as caught:
        disk.prepare(Wanted(path=tmp_path / "x.img"), tmp_path / "unused")
    assert "size=1G" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_an_empty_file_needs_a_size(tmp_path):
    path = tmp_path / "x.img"
    path.touch()
    with pytest.raises(DiskError, match="is empty"):
        disk.prepare(Wanted(path=path), path)
    disk.prepare(Wanted(path=path, size_bytes=MIB), path)
    assert path.stat().st_size == MIB


@pytest.mark.parametrize(
    ("content", "said", "message"),
    [
        (b"\0" * 512, DiskFormat.QCOW2, "is raw, not qcow2"),
        (qcow2(), DiskFormat.RAW, "is qcow2, not raw"),
        (qcow2(backing=512), None, "takes its content from other files"),
        (qcow2(features=4), None, "takes its content from other files"),
        (qcow2(version=7), None, "version 7"),
        (qcow2()[:20], None, "cut off"),
        (b"KDMV".ljust(512, b"\0"), None, "VMDK"),
    ],
)
def test_what_is_no_such_disk(tmp_path, content, said, message):
    path = tmp_path / "disk.img"
    path.write_bytes(content)
    with pytest.raises(DiskError, match=message) as caught:
        disk.prepare(Wanted(path=path, format=said), path)
    assert str(path) in caught.value.message
    assert path.read_bytes() == content


def test_a_folder_that_is_named_has_to_be_there(tmp_path):
    path = tmp_path / "dtaa" / "disk.img"
    with pytest.raises(DiskError, match="there is no folder") as caught:
        disk.prepare(Wanted(path=path, size_bytes=MIB), path)
    assert str(path) in caught.value.message
    assert not path.parent.exists()


def test_who_says_qcow2_trusts_it(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(qcow2(backing=512))
    assert disk.prepare(Wanted(path=path, format=DiskFormat.QCOW2), path).path == path


def test_old_qcow2_has_no_features(tmp_path):
    path = tmp_path / "disk.img"
    path.write_bytes(qcow2(version=2, features=4))
    assert disk.facts(path) == disk.Facts(format=DiskFormat.QCOW2, size_bytes=GIB)


def test_what_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(DiskError, match="no regular file"):
            disk.prepare(Wanted(path=path), path)
    below = tmp_path / "file" / "disk"
    below.parent.touch()
    with pytest.raises(DiskError, match="cannot use the disk"):
        disk.prepare(Wanted(path=below, size_bytes=MIB), below)


@pytest.mark.parametrize("size", [None, 2 * MIB])
def test_a_disk_another_machine_has(tmp_path, size):
    path = tmp_path / "disk.img"
    path.write_bytes(bytes(MIB))
    descriptor = os.open(path, os.O_RDWR)
    try:
        # as QEMU does: shared locks of the open file, one byte for each permission
        lock = struct.pack("hhqqixxxx", fcntl.F_RDLCK, os.SEEK_SET, 201, 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, lock)
        with pytest.raises(DiskError, match="used by another machine"):
            disk.prepare(Wanted(path=path, size_bytes=size), path)
    finally:
        os.close(descriptor)
    assert path.stat().st_size == MIB
    assert disk.prepare(Wanted(path=path), path).path == path


def test_nothing_is_left_when_making_fails(tmp_path, monkeypatch):
    def fail(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr(disk, "_image_tool", fail)
    with pytest.raises(KeyboardInterrupt):
        disk.prepare(Wanted(size_bytes=GIB), tmp_path / "disk.img")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_made_meanwhile_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "disk.img"

    def race(*words):
        path.write_bytes(b"theirs".ljust(MIB, b"\0"))

    monkeypatch.setattr(disk, "_image_tool", race)
    assert disk.prepare(Wanted(size_bytes=MIB), path).format is DiskFormat.RAW
    assert path.read_bytes().startswith(b"theirs")


def test_a_filesystem_without_hard_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    path = tmp_path / "disk.img"
    disk.prepare(Wanted(size_bytes=MIB, format=DiskFormat.RAW), path)
    assert path.stat().st_size == MIB
    assert [each.name for each in tmp_path.iterdir()] == ["disk.img"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / f"{fs.TEMPORARY_PREFIX}{'0' * 12}"
    left.touch()
    disk.prepare(Wanted(size_bytes=MIB, format=DiskFormat.RAW), tmp_path / "disk.img")
    assert not left.exists()


def test_disks_without_a_path_are_numbered_by_their_place(tmp_path):
    raw = DiskFormat.RAW
    wanted = [
        Wanted(path=tmp_path / "own.img", size_bytes=MIB, format=raw),
        Wanted(size_bytes=MIB, format=raw),
    ]
    made = disk.prepare_all(wanted, tmp_path / "state")
    assert [each.path for each in made] == [tmp_path / "own.img", tmp_path / "state" / "disk1.img"]


def test_a_disk_given_twice_is_refused(tmp_path):
    wanted = Wanted(path=tmp_path / "own.img", size_bytes=MIB, format=DiskFormat.RAW)
    (tmp_path / "link.img").symlink_to("own.img")
    with pytest.raises(UsageError, match="given twice"):
        disk.prepare_all([wanted, Wanted(path=tmp_path / "link.img")], tmp_path)


def test_a_plan_makes_nothing(tmp_path):
    (tmp_path / "there.img").write_bytes(qcow2())
    wanted = [Wanted(path=tmp_path / "there.img"), Wanted(size_bytes=MIB)]
    raw = disk.planned(wanted, tmp_path / "state", new_format=DiskFormat.RAW)
    assert [(each.path.name, each.format) for each in raw] == [
        ("there.img", DiskFormat.QCOW2), ("disk1.img", DiskFormat.RAW),
    ]  # fmt: skip
    assert disk.planned(wanted[1:], tmp_path)[0].format is DiskFormat.QCOW2
    assert [each.name for each in tmp_path.iterdir()] == ["there.img"]
    made = disk.prepare_all(wanted[1:], tmp_path / "state", new_format=DiskFormat.RAW)
    assert [(each.path.name, each.format) for each in made] == [("disk0.img", DiskFormat.RAW)]


def test_what_a_disk_is_made_from(tmp_path):
    made = tmp_path / "a.qcow2"
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 200, 7, 16, 1 << 20).ljust(200, b"\0")
    made.write_bytes(header + b"web.img")
    assert disk.backing(made) == tmp_path / "web.img"
    for others in (
        b"", b"QFI\xfb", bytes(512), struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 1 << 20),
        struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 200, 1 << 30, 16, 1 << 20), header + b"web\0img",
    ):  # fmt: skip
        made.write_bytes(others)
        assert disk.backing(made) is None
