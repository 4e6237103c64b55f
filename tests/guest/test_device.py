"""Disks, metadata, ssh and the clock: one system, booted twice with one disk."""

import json
import subprocess

import pytest

from sampan import machine
from sampan.machine.storage import disk, metadata
from sampan.machine.storage.disk import DiskError, Wanted

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
MIB = 1 << 20
OUTSIDE = "nsenter -t 1 -m --"  # of the shell's container


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "id"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def data(folder):
    return disk.prepare(
        Wanted(size_bytes=64 * MIB, format=machine.DiskFormat.RAW), folder / "d.img"
    )


@pytest.fixture(scope="module")
def system(boot, data, folder, key, await_ssh):
    """The first boot, with an empty disk, another one, and LinuxKit's metadata."""
    tree = {
        "ssh": {
            "perm": "0700",
            "entries": {
                "authorized_keys": {"perm": "0600", "content": key.with_suffix(".pub").read_text()}
            },
        },
        "hostname": {"content": "from-metadata"},
        "../escaped": {"content": "no"},
    }
    metadata.write(folder / "m.iso", metadata.disc(json.dumps(tree).encode()))
    second = disk.prepare(Wanted(size_bytes=8 * MIB), folder / "second.img")
    forwards = tuple(machine.Forward(host_port=0, guest_port=port) for port in (22, 2022))
    with boot(
        "devices",
        mem_mib=384,
        disks=(data, second),
        discs=(folder / "m.iso",),
        publish=forwards,
    ) as booted:
        booted.wait_for("running, .* after boot")
        for published in booted.machine.forwards:
            await_ssh(published.host_port)
        yield booted
        assert booted.machine.power_off(deadline_s=300).ending is machine.Ending.POWERED_OFF


def test_the_first_empty_disk_is_formatted_and_mounted(system):
    assert "format: vda has a partition with ext4, called data" in system.shown
    assert system.run("grep -c '^/dev/vda1 /var/lib/data ext4' /proc/1/mounts") == "1\n"
    assert system.run("cat /sys/block/vdb/size; ls /sys/block/vdb | grep -c vdb1") == "16384\n0\n"
    assert "vda1" in system.run("ls -l /dev/disk/by-label/data")


def test_metadata_is_below_run_config(system):
    assert system.run("cat /run/config/provider; hostname") == "cdrom" + "from-metadata\n"
    assert system.run("stat -c %a /run/config/ssh /run/config/ssh/authorized_keys") == "700\n600\n"
    assert "left out: '/../escaped'" in system.shown
    assert system.run("ls -d /run/escaped /escaped 2>/dev/null | wc -l") == "0\n"


@pytest.mark.parametrize("place", [0, 1])
def test_ssh_logs_in(system, key, place):
    published = system.machine.forwards[place]
    done = ssh(key, published.host_port, "hostname; service list | grep -c keeper")
    assert (done.stdout, done.returncode) == ("from-metadata\n1\n", 0), done.stderr


def test_files_come_back_by_sftp(system, key, tmp_path):
    published = system.machine.forwards[0]
    (tmp_path / "sent").write_text("content")
    words = ["scp", *OPTIONS, "-i", key, "-P", str(published.host_port)]
    target = "root@127.0.0.1:/run/sent"
    subprocess.run([*words, tmp_path / "sent", target], check=True, capture_output=True)
    subprocess.run([*words, target, tmp_path / "back"], check=True, capture_output=True)
    assert (tmp_path / "back").read_text() == "content"


def test_another_machine_does_not_get_the_disk(system, data, boot):
    with pytest.raises(DiskError, match="used by another machine"):
        disk.prepare(Wanted(path=data.path), data.path)
    with (
        pytest.raises(DiskError, match=r"d\.img is used by another machine"),
        boot("devices", mem_mib=384, disks=(data,)),
    ):
        pass


def test_a_disk_grows_while_it_is_used(system):
    system.machine.grow_disk(1, 24 * MIB)
    assert system.run("cat /sys/block/vdb/size") == f"{24 * 2048}\n"
    with pytest.raises(DiskError, match="cannot shrink"):
        system.machine.grow_disk(1, 8 * MIB)


def test_what_is_trimmed_leaves_the_file(system, data):
    system.run(f"{OUTSIDE} dd if=/dev/urandom of=/var/lib/data/big bs=1M count=24; sync")
    full = data.path.stat().st_blocks
    system.run(f"{OUTSIDE} rm /var/lib/data/big; sync; {OUTSIDE} fstrim /var/lib/data")
    assert full - data.path.stat().st_blocks > 20 * 2048


def test_the_clock_follows_the_hosts(system):
    system.run("date -s '2020-01-01 00:00:00'")
    system.run("until [ $(date +%Y) -gt 2020 ]; do sleep 1; done")


def test_the_second_boot_finds_what_the_first_one_left(system, boot, data, folder):
    system.machine.power_off(deadline_s=300)
    metadata.write(
        folder / "n.iso",
        metadata.nocloud(b"#!/bin/sh\n", b"instance-id: i-1\nlocal-hostname: web\n"),
    )
    with boot("devices", mem_mib=384, disks=(data,), discs=(folder / "n.iso",)) as booted:
        booted.wait_for("running, .* after boot")
        assert "format: there is a filesystem data, nothing to do" in booted.shown
        assert booted.run(f"{OUTSIDE} cat /var/lib/data/boots") == "boot\nboot\n"
        assert (
            booted.run("cat /run/config/userdata /run/config/instance_id; echo")
            == "#!/bin/sh\ni-1\n"
        )
        assert booted.run("hostname") == "web\n"


OPTIONS = [
    "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
    "-o", "ConnectTimeout=60",
]  # fmt: skip


def ssh(key, port, command):
    words = ["ssh", *OPTIONS, "-i", key, "-p", str(port), "root@127.0.0.1", command]
    return subprocess.run(words, capture_output=True, text=True, check=False)
