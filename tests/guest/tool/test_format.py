import os

import pytest

from sampan.base import proc
from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import device, superblock
from sampan.guest.tool import format as formatting
from sampan.machine.storage import iso

ISO = iso.build("old", {"a": b"x"})
MIB = 1 << 20
needs_mke2fs = pytest.mark.skipif(not proc.has_tool("mke2fs"), reason="no mke2fs")


@pytest.fixture(autouse=True)
def kernel(bench, monkeypatch):
    """The kernel reads the new table: the partition's file has what is on the disk from there."""
    told = []

    def reread(descriptor, request):
        assert request == 0x125F
        told.append(descriptor)
        for disk in bench.host.disks():
            path = bench.dev / disk
            if not bench.host.partitions(disk) and path.read_bytes()[510:512] == b"\x55\xaa":
                bench.add(f"{disk}1", parent=disk, content=path.read_bytes()[MIB:])

    monkeypatch.setattr("fcntl.ioctl", reread)
    return told


@needs_mke2fs
@pytest.mark.parametrize("kind", ["dos", "gpt"])
def test_the_first_empty_disk_gets_a_filesystem(bench, capsys, kind):
    bench.add("vda", size=16 * MIB, content=ISO)
    path = bench.add("vdb", size=16 * MIB)
    bench.add("vdc", size=16 * MIB)
    assert formatting.main(["-label", "data", "-partition", kind], bench.host) == 0
    assert "vdb has a partition with ext4, called data" in capsys.readouterr().out
    assert (b"EFI PART" in path.read_bytes()[:1024]) == (kind == "gpt")
    [volume] = [each for name, each in bench.host.volumes() if name.endswith("vdb1")]
    assert (volume.kind, volume.label) == ("ext4", "data")
    assert bench.host.partitions("vdc") == []


@needs_mke2fs
def test_the_second_time_nothing_happens(bench, capsys, kernel):
    bench.add("vda", size=16 * MIB)
    assert formatting.main(["-label", "data"], bench.host) == 0
    before = (bench.dev / "vda").read_bytes()
    assert formatting.main(["-label", "data"], bench.host) == 0
    assert formatting.main([], bench.host) == 0
    assert formatting.main(["/dev/vda"], bench.host) == 0
    said = capsys.readouterr().out
    assert "there is a filesystem data" in said
    assert "none of vda is empty" in said
    assert "vda is not empty, nothing to do" in said
    assert (bench.dev / "vda").read_bytes() == before
    assert len(kernel) == 1


@needs_mke2fs
def test_force_formats_what_is_not_empty(bench):
    bench.add("vda", size=16 * MIB, content=ISO)
    assert formatting.main(["-force", "-label", "new", "/dev/vda"], bench.host) == 0
    assert superblock.probe(str(bench.dev / "vda1")).label == "new"


@needs_mke2fs
def test_formatting_that_was_cut_short_begins_anew(bench, monkeypatch):
    path = bench.add("vda", size=16 * MIB)

    def cut(*words):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr("os.pwrite", _after(1, os.pwrite, cut))
        with pytest.raises(KeyboardInterrupt):
            formatting.main([], bench.host)
    assert device.is_empty(str(path))
    assert formatting.main([], bench.host) == 0
    assert bench.host.partitions("vda") == ["vda1"]


def _after(calls, function, then):
    left = [function] * calls

    def called(*words):
        return (left.pop() if left else then)(*words)

    return called


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-type", "zfs"], "type zfs"),
        (["-partition", "apple"], "no partition table apple"),
        (["-label", "x" * 17], "more than 16 bytes"),
        (["/dev/vda", "/dev/vdb"], "one device"),
        (["/dev/vdz"], "vdz is no disk of this machine, which has vda"),
        (["/dev/vdb"], "the disk vdb is too small"),
    ],
)
def test_what_makes_no_sense(bench, words, said):
    bench.add("vda", size=16 * MIB)
    bench.add("vdb", size=MIB)
    with pytest.raises(AgentError, match=said):
        formatting.main(words, bench.host)


def test_a_machine_without_disks(bench):
    with pytest.raises(AgentError, match="has no disk"):
        formatting.main([], bench.host)


def test_a_disk_with_large_sectors_is_refused(bench):
    path = bench.add("vda", size=16 * MIB)
    (bench.sys / "block" / "vda" / "queue").mkdir()
    (bench.sys / "block" / "vda" / "queue" / "logical_block_size").write_text("4096\n")
    with pytest.raises(AgentError, match="have not 512 bytes"):
        formatting.main([], bench.host)
    assert device.is_empty(str(path))


def test_mkfs_fails(bench, monkeypatch):
    path = bench.add("vda", size=16 * MIB)
    monkeypatch.setattr("sampan.guest.tool.format.process.run", lambda words: (1, "no space"))
    monkeypatch.setattr("sampan.guest.tool.format.process.find", lambda name: f"/sbin/{name}")
    with pytest.raises(AgentError, match="ended with status 1: no space"):
        formatting.main([], bench.host)
    assert device.is_empty(str(path))
    monkeypatch.setattr("sampan.guest.tool.format.process.find", lambda name: None)
    with pytest.raises(AgentError, match="is not there"):
        formatting.main([], bench.host)
