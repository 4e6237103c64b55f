import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import mount
from sampan.machine.storage import iso


def ext4(label, uuid="00"):
    head = bytearray(65536)
    head[1080:1082] = b"\x53\xef"
    head[1024 + 96] = 0x40
    head[1128:1144] = bytes.fromhex(uuid * 16)
    head[1144 : 1144 + len(label)] = label
    return bytes(head)


@pytest.fixture(autouse=True)
def made(monkeypatch):
    calls: list[object] = []
    monkeypatch.setattr("sampan.guest.tool.mount.kernel.mount", calls.append)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    return calls


@pytest.fixture
def disks(bench):
    bench.add("sr0", content=iso.build("disc", {"a": b""}))
    bench.add("vda")
    bench.add("vda1", parent="vda", content=ext4(b"one", "aa"))
    bench.add("vdb", content=ext4(b"two", "bb"))
    return bench


@pytest.mark.parametrize(
    ("words", "name"),
    [
        ([], "vda1"),
        (["-label", "two"], "vdb"),
        (["-uuid", "BBBBBBBB-bbbb-bbbb-bbbb-bbbbbbbbbbbb"], "vdb"),
        (["-device", "vdb"], "vdb"),
        (["-label", "disc"], "sr0"),
    ],
)
def test_what_is_mounted(disks, made, tmp_path, words, name):
    target = str(tmp_path / "a" / "b")
    assert mount.main([*words, target], disks.host) == 0
    [call] = made
    kind = "iso9660" if name == "sr0" else "ext4"
    assert (call.source, call.target, call.type) == (f"{disks.dev}/{name}", target, kind)
    assert call.flags == (1 if name == "sr0" else 0)
    assert (tmp_path / "a" / "b").is_dir()


def test_a_device_as_the_first_word(disks, made, tmp_path):
    assert mount.main([f"{disks.dev}/vdb", str(tmp_path / "t")], disks.host) == 0
    assert made[0].source == f"{disks.dev}/vdb"


def test_links_by_uuid_and_label(disks, tmp_path):
    for _ in range(2):
        mount.main([str(tmp_path / "t")], disks.host)
    links = disks.dev / "disk"
    assert (links / "by-label" / "two").resolve() == disks.dev / "vdb"
    uuid = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
    assert (links / "by-uuid" / uuid).resolve() == disks.dev / "vda1"


def test_a_label_leaves_no_folder(bench, tmp_path):
    bench.add("vda", content=ext4(b"../../up"))
    mount.main([str(tmp_path / "t")], bench.host)
    assert not list(bench.dev.glob("disk/by-label/*"))
    assert not (bench.root / "up").is_symlink()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "usage"),
        (["a", "b", "c"], "usage"),
        (["-label", "x", "-uuid", "y", "/t"], "usage"),
        (["-label", "x", "/t"], "no disk has a filesystem with the label x"),
        (["vdz", "/t"], "with the device vdz"),
        (["vdc", "/t"], "no filesystem on .*/vdc"),
    ],
)
def test_what_cannot_be_mounted(disks, made, words, said):
    disks.add("vdc")
    with pytest.raises(AgentError, match=said):
        mount.main(words, disks.host)
    assert made == []


def test_no_filesystem_at_all(bench):
    bench.add("vda")
    with pytest.raises(AgentError, match="no disk has a filesystem"):
        mount.main(["/t"], bench.host)


def test_the_kernel_refuses(disks, tmp_path, monkeypatch):
    def refuse(call):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("sampan.guest.tool.mount.kernel.mount", refuse)
    with pytest.raises(AgentError, match="Invalid argument"):
        mount.main([str(tmp_path / "t")], disks.host)
