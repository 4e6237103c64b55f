from sampan.guest.tool import device
from sampan.machine.storage import iso

ISO = iso.build("cidata", {"user-data": b"x"})


def test_disks_in_the_kernels_order(bench):
    for name in ("vdaa", "vdb", "vda", "sda", "nvme0n1", "loop0", "ram0", "sr0", "dm-0"):
        bench.add(name)
    bench.add("vdc", size=0)
    assert bench.host.disks() == ["nvme0n1", "sda", "vda", "vdb", "vdaa"]
    assert bench.host.discs() == ["sr0"]


def test_partitions(bench):
    bench.add("vda")
    for number in (10, 2, 1):
        bench.add(f"vda{number}", parent="vda")
    assert bench.host.partitions("vda") == ["vda1", "vda2", "vda10"]
    assert bench.host.sectors("vda") == (8 << 20) // 512
    assert bench.host.sectors("vdz") == 0


def test_volumes_are_those_of_partitions_where_there_are_some(bench):
    bench.add("vda", content=ISO)
    bench.add("vda1", parent="vda")
    bench.add("vdb", content=ISO)
    bench.add("sr0", content=ISO)
    assert [path for path, _ in bench.host.volumes()] == [f"{bench.dev}/vdb", f"{bench.dev}/sr0"]


def test_a_machine_without_devices(tmp_path):
    host = device.Host(str(tmp_path / "sys"), str(tmp_path / "dev"))
    assert host.disks() == host.discs() == []
    assert host.volumes() == []
    assert not host.scsi()


def test_scsi_controllers(bench):
    (bench.sys / "class" / "scsi_host" / "host0").mkdir(parents=True)
    assert bench.host.scsi()


def test_emptiness(bench):
    assert device.is_empty(str(bench.add("vda")))
    assert not device.is_empty(str(bench.add("vdb", content=bytes(9000) + b"x")))
    backup = bench.add("vdc")
    with backup.open("r+b") as stream:
        stream.seek(-512, 2)
        stream.write(b"EFI PART")
    assert not device.is_empty(str(backup))


def test_waiting_ends_with_what_was_found(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers = iter([None, None, "here"])
    assert device.await_one(lambda: next(answers), 1.0) == "here"
    assert device.await_one(lambda: None, 0.3) is None
