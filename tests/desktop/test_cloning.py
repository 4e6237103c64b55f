"""How clones are connected, told from how their original was."""

import pytest
from msgspec.structs import replace

from sampan.base import proc
from sampan.desktop import cloning
from sampan.desktop.network import Networking, Options
from sampan.errors import UnsupportedError, UsageError
from sampan.machine.device import Disk, DiskFormat
from sampan.machine.driver import Build
from sampan.machine.model import Accelerator
from sampan.machine.registry.record import Made, Record, Status
from sampan.machine.saving.suspension import File, Suspension
from sampan.machine.testing import spec
from sampan.net.services.portcontrol import Port

SAVED = Suspension(
    spec=spec(name="web"), driver="fake", build=Build(), accel=Accelerator.TCG,
    memory=File(name="memory-0", size_bytes=0, sha256=""), has_agent=True,
)  # fmt: skip
AGENTLESS = replace(SAVED, has_agent=False)


@pytest.mark.parametrize(
    ("publish", "free"),
    [
        ((), ()),
        (("8080:80",), ("127.0.0.1:0:80/tcp",)),
        (("0.0.0.0:53:53/udp", "[::1]:8080:80"), ("0.0.0.0:0:53/udp", "[::1]:0:80/tcp")),
        (("8000-8001:80-81",), ("127.0.0.1:0:80/tcp", "127.0.0.1:0:81/tcp")),
        (("/run/web.sock:80", "8080:web:80"), ("127.0.0.1:0:80/tcp", "127.0.0.1:0:80/tcp")),
    ],
)
def test_ports_of_the_guest_at_free_ones(publish, free):
    assert cloning.connected(SAVED, Options(publish=publish)).publish == free


def test_on_the_network_of_qemu():
    wired = Options(networking=Networking.USER, publish=("8080:80", "0.0.0.0:53:53/udp"))
    assert cloning.connected(AGENTLESS, wired).publish == ("127.0.0.1:0:80/tcp", "0.0.0.0:0:53/udp")


def test_other_ports():
    wired = Options(publish=("8080:80",), address="192.168.65.9")
    made = cloning.connected(AGENTLESS, wired, ("8081:80",))
    assert (made.publish, made.address) == (("8081:80",), "192.168.65.9")


def test_among_others(tmp_path):
    for wired in (
        Options(networking=Networking.SHARED, address="192.168.65.9"),
        Options(networking=Networking.BRIDGE, interface="br0"),
        Options(join=tmp_path),
    ):
        assert cloning.connected(SAVED, wired).address == ""
        with pytest.raises(UnsupportedError, match="only that can change the MAC address"):
            cloning.connected(AGENTLESS, wired)


def test_what_several_cannot_publish():
    cloning.check_several(["0:80", "0.0.0.0:0:53/udp"])
    for text in ("8080:80", "/run/web.sock:80", "8000-8001:80-81"):
        with pytest.raises(UsageError, match="several clones cannot publish"):
            cloning.check_several([text])


@pytest.mark.skipif(not proc.has_tool("qemu-img"), reason="needs qemu-img")
def test_machines_whose_disks_are_made_from_others(tmp_path):
    for name in ("web", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "disk").write_bytes(bytes(1 << 20))
    clone = tmp_path / "clone.qcow2"
    proc.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", "web/disk", clone])
    own, gone = tmp_path / "own.qcow2", tmp_path / "gone.qcow2"
    proc.run(["qemu-img", "create", "-q", "-f", "qcow2", own, "1M"])

    def record(name, *paths):
        disks = tuple(Disk(path=each, format=DiskFormat.QCOW2) for each in paths)
        made = Made(by="1", made_s=0, spec=spec(name=name, disks=disks))
        return Record(name=name, folder=tmp_path, status=Status.STOPPED, made=made)

    records = record("a", own, clone), record("b", own), record("c", gone)
    damaged = Record(name="d", folder=tmp_path, status=Status.DAMAGED)
    assert cloning.clones_of(tmp_path / "web", (*records, damaged)) == ("a",)
    assert cloning.clones_of(tmp_path / "other", records) == ()


def test_what_was_opened_while_it_ran_is_its_originals():
    wired = Options(publish=("8080:80",), added=("9090:80",), asked=(Port(proto="tcp"),))
    made = cloning.connected(SAVED, wired)
    assert (made.publish, made.added, made.asked) == (("127.0.0.1:0:80/tcp",), (), ())
