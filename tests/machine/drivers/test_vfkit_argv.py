"""A golden table: what a spec becomes, and what vfkit's grammar makes of that."""

from pathlib import Path

import pytest

from sampan.errors import UnsupportedError
from sampan.machine import Disk, DiskFormat, MachineSpec, Network, Share, Vsock
from sampan.machine.drivers import vfkit_argv

WIRING = vfkit_argv.Wiring(
    control_path="/run/s/vm-1/qmp", link_path="/run/s/net", vsock_folder="/run/s/vm-1"
)
BASE = (
    "vfkit", "--cpus", "1", "--memory", "1024",
    "--bootloader", 'linux,kernel=k,cmdline="console=hvc0"',
    "--restful-uri", "unix:///run/s/vm-1/qmp",
    "--device", "virtio-rng", "--device", "virtio-serial,stdio",
)  # fmt: skip
DEVICES = [{"kind": "virtiorng"}, {"kind": "virtioserial", "usesStdio": True}]


def build(**fields):
    spec = MachineSpec(**{"kernel": Path("k"), "network": Network.NONE, **fields})
    return vfkit_argv.build(spec, wiring=WIRING)


def test_the_smallest_machine(vfkit_grammar):
    assert build() == BASE
    assert vfkit_grammar.parse(BASE[1:]) == {
        "vcpus": 1,
        "memoryBytes": 1 << 30,
        "bootloader": {
            "kind": "linuxBootloader", "vmlinuzPath": "k", "kernelCmdLine": "console=hvc0",
        },
        "devices": DEVICES,
        "restful": "/run/s/vm-1/qmp",
    }  # fmt: skip


@pytest.fixture
def files(tmp_path):
    """Files and folders that a spec names: vfkit's grammar opens disks."""
    for name in ("a.img", "b.img", "c.iso"):
        (tmp_path / name).touch()
    return tmp_path


def _disks(at):
    return {"disks": (Disk(path=at / "a.img"), Disk(path=at / "b.img", read_only=True))}


GOLDEN = [
    (
        lambda at: {"network": Network.USER, "mac": "02:00:00:00:00:01"},
        ["virtio-net,nat,mac=02:00:00:00:00:01"],
        lambda at: [{"kind": "virtionet", "nat": True, "macAddress": "02:00:00:00:00:01"}],
    ),
    (
        lambda at: {"network": Network.DATAGRAM, "mac": "02:00:00:00:00:01"},
        ["virtio-net,unixSocketPath=/run/s/net,mac=02:00:00:00:00:01"],
        lambda at: [
            {
                "kind": "virtionet", "nat": False, "macAddress": "02:00:00:00:00:01",
                "unixSocketPath": "/run/s/net", "vfkitMagic": True,
            }
        ],
    ),
    (
        _disks,
        ["virtio-blk,path={at}/a.img", "virtio-blk,path={at}/b.img,readonly"],
        lambda at: [
            {"kind": "virtioblk", "imagePath": f"{at}/a.img", "readOnly": False},
            {"kind": "virtioblk", "imagePath": f"{at}/b.img", "readOnly": True},
        ],
    ),
    (
        lambda at: {"discs": (at / "c.iso",)},
        ["usb-mass-storage,path={at}/c.iso,readonly"],
        lambda at: [{"kind": "usbmassstorage", "imagePath": f"{at}/c.iso", "readOnly": True}],
    ),
    (
        lambda at: {"shares": (Share(source=at, tag="virtiofs0"),)},
        ["virtio-fs,sharedDir={at},mountTag=virtiofs0"],
        lambda at: [{"kind": "virtiofs", "sharedDir": str(at), "mountTag": "virtiofs0"}],
    ),
    (
        lambda at: {"vsock": Vsock(ports=(2374, 9))},
        [
            "virtio-vsock,port=2374,socketURL=/run/s/vm-1/guest.00000946,connect",
            "virtio-vsock,port=9,socketURL=/run/s/vm-1/guest.00000009,connect",
        ],
        lambda at: [
            {
                "kind": "virtiovsock", "port": port, "listen": False,
                "socketURL": f"/run/s/vm-1/guest.{port:08x}",
            }
            for port in (2374, 9)
        ],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "words", "json"), GOLDEN)
def test_devices(fields, words, json, files, vfkit_grammar):
    argv = build(**fields(files))
    expected = [each for word in words for each in ("--device", word.format(at=files))]
    assert argv == (*BASE, *expected)
    assert vfkit_grammar.parse(argv[1:])["devices"] == DEVICES + json(files)


@pytest.mark.parametrize(
    ("cmdline", "said"),
    [
        ("", "console=hvc0"),
        ("a=1,2 b", "a=1,2 b console=hvc0"),
        ("console=hvc0 quiet", "console=hvc0 quiet"),
    ],
)
def test_the_kernel_command_line_may_have_commas(cmdline, said, vfkit_grammar):
    config = vfkit_grammar.parse(build(cmdline=cmdline, initrd=Path("i"))[1:])
    assert config["bootloader"] == {
        "kind": "linuxBootloader", "vmlinuzPath": "k", "initrdPath": "i", "kernelCmdLine": said,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kernel": Path("a,b")}, "a kernel with a comma"),
        ({"initrd": Path('a"b')}, "an initrd with a comma or a double quote"),
        ({"cmdline": 'a="b"'}, "a kernel command line with a double quote"),
        ({"disks": (Disk(path=Path("a,b")),)}, "a disk with a comma"),
        ({"discs": (Path("a,b"),)}, "a disc with a comma"),
        ({"shares": (Share(source=Path("a,b"), tag="t"),)}, "a share with a comma"),
        ({"shares": (Share(source=Path("a"), tag="t,u"),)}, "a tag of a share with a comma"),
        ({"shares": (Share(source=Path("a"), tag="t", read_only=True),)}, "a read-only share"),
        ({"disks": (Disk(path=Path("a"), format=DiskFormat.QCOW2),)}, "a qcow2 disk"),
        ({"network": Network.VHOST_USER}, "a network by vhost-user"),
    ],
)
def test_what_it_cannot_be_told_is_refused(fields, said):
    with pytest.raises(UnsupportedError, match=f"vfkit cannot do {said}"):
        build(**fields)


def test_socket_paths_that_are_too_long_are_refused():
    wiring = vfkit_argv.Wiring(control_path="/" + "x" * 103)
    with pytest.raises(UnsupportedError, match="longer than 103 bytes"):
        vfkit_argv.build(MachineSpec(kernel=Path("k"), network=Network.NONE), wiring=wiring)


@pytest.mark.parametrize(
    "words",
    [
        ["--cpus", "1"],
        ["--bootloader", "efi"],
        ["--bootloader", 'linux,kernel=k,cmdline="a'],
        ["--bootloader", "linux,kernel=k,color=red"],
        ["--bootloader", "linux,kernel=k", "--device", "virtio-net,mac=02:00:00:00:00:01"],
        ["--bootloader", "linux,kernel=k", "--device", "virtio-tpm"],
        ["--bootloader", "linux,kernel=k", "--device", "virtio-rng,fast"],
        ["--bootloader", "linux,kernel=k", "--device", "virtio-serial"],
        ["--bootloader", "linux,kernel=k", "--colour"],
    ],
)
def test_the_grammar_is_strict(words, vfkit_grammar):
    with pytest.raises(vfkit_grammar.GrammarError):
        vfkit_grammar.parse([*words, "--restful-uri", "unix:///run/x"])
