"""A golden table: what a spec becomes, and what HyperKit's grammar makes of that."""

from pathlib import Path

import pytest

from sampan.errors import UnsupportedError
from sampan.machine import Arch, Disk, DiskFormat, MachineSpec, Network, Vsock
from sampan.machine.drivers import hyperkit_argv

WIRING = hyperkit_argv.Wiring(state_folder="/s", link_path="/run/s/net", vsock_folder="/run/s/vm-1")
UUID = "e339dfcc-745b-5ffa-a773-d7e1a2e1e4e6"
QCOW = "qcow-config=discard=false;compact_after_unmaps=0;keep_erased=0;runtime_asserts=false"
HEAD = (
    "hyperkit", "-A", "-u", "-F", "/s/hyperkit.pid", "-c", "1", "-m", "1024M",
    "-s", "0:0,hostbridge", "-s", "31,lpc",
)  # fmt: skip
TAIL = ("-l", "com1,stdio,log=/s/console-ring", "-f", "kexec,k,,earlyprintk=serial")


def build(**fields):
    spec = MachineSpec(**{"kernel": Path("k"), "network": Network.NONE, "name": "web", **fields})
    return hyperkit_argv.build(spec, wiring=WIRING)


def test_the_smallest_machine(hyperkit_grammar):
    argv = build()
    assert argv == (*HEAD, "-s", "1,virtio-rnd", *TAIL)
    assert hyperkit_grammar.parse(argv[1:]) == {
        "acpi": True,
        "cpus": 1,
        "memory": 1 << 30,
        "pid": "/s/hyperkit.pid",
        "uuid": None,
        "slots": {0: ("hostbridge", ""), 31: ("lpc", ""), 1: ("virtio-rnd", "")},
        "com1": ["stdio", "log=/s/console-ring"],
        "firmware": {"kernel": "k", "initrd": "", "cmdline": "earlyprintk=serial"},
    }


GOLDEN = [
    ({"network": Network.USER}, ["1:0,virtio-net"], ("virtio-net", "")),
    (
        {"network": Network.VPNKIT},
        [f"1:0,virtio-vpnkit,path=/run/s/net,uuid={UUID}"],
        ("virtio-vpnkit", {"path": "/run/s/net", "uuid": UUID}),
    ),
    (
        {"disks": (Disk(path=Path("/dev/null")),)},
        ["1:0,virtio-blk,/dev/null"],
        ("virtio-blk", ("/dev/null",)),
    ),
    (
        {"disks": (Disk(path=Path("/dev/null"), read_only=True),)},
        ["1:0,virtio-blk,/dev/null,ro"],
        ("virtio-blk", ("/dev/null", "ro")),
    ),
    (
        {"disks": (Disk(path=Path("/dev/null"), format=DiskFormat.QCOW2),)},
        [f"1:0,virtio-blk,file:///dev/null?sync=os&buffered=1,format=qcow,{QCOW}"],
        (
            "virtio-blk",
            (
                "file:///dev/null?sync=os&buffered=1",
                "format=qcow",
                QCOW,
            ),
        ),
    ),
    ({"discs": (Path("c.iso"),)}, ["1,ahci-cd,c.iso"], ("ahci-cd", "c.iso")),
    (
        {"vsock": Vsock(ports=(2374, 9))},
        ["1,virtio-sock,guest_cid=3,path=/run/s/vm-1,guest_forwards=2374;9"],
        ("virtio-sock", {"cid": 3, "path": "/run/s/vm-1", "forwards": [2374, 9]}),
    ),
    (
        {"vsock": Vsock()},
        ["1,virtio-sock,guest_cid=3,path=/run/s/vm-1"],
        ("virtio-sock", {"cid": 3, "path": "/run/s/vm-1", "forwards": []}),
    ),
]


@pytest.mark.parametrize(("fields", "words", "understood"), GOLDEN)
def test_devices(fields, words, understood, hyperkit_grammar):
    argv = build(**fields)
    identity = ("-U", UUID) if fields.get("network") is Network.USER else ()
    slots = [each for word in words for each in ("-s", word)]
    assert argv == (*HEAD, *identity, *slots, "-s", "2,virtio-rnd", *TAIL)
    assert hyperkit_grammar.parse(argv[1:])["slots"][1] == understood


def test_slots_are_counted_in_the_order_of_the_go_bindings(hyperkit_grammar):
    argv = build(
        network=Network.VPNKIT,
        disks=(Disk(path=Path("/dev/null")), Disk(path=Path("/dev/zero"))),
        vsock=Vsock(),
        discs=(Path("c.iso"),),
    )
    slots = hyperkit_grammar.parse(argv[1:])["slots"]
    assert [slots[number][0] for number in range(1, 7)] == [
        "virtio-vpnkit", "virtio-blk", "virtio-blk", "virtio-sock", "ahci-cd", "virtio-rnd",
    ]  # fmt: skip


def test_the_kernel_command_line_may_have_commas(hyperkit_grammar):
    config = hyperkit_grammar.parse(build(cmdline="console=ttyS0,115200 a", initrd=Path("i"))[1:])
    assert config["firmware"] == {
        "kernel": "k", "initrd": "i", "cmdline": "earlyprintk=serial console=ttyS0,115200 a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"arch": Arch.ARM64}, "arm64 machines"),
        ({"kernel": Path("a,b")}, "a kernel with a comma"),
        ({"initrd": Path("a,b")}, "an initrd with a comma"),
        ({"disks": (Disk(path=Path("a,b")),)}, "a disk with a comma"),
        ({"disks": (Disk(path=Path("a"), format=DiskFormat.QCOW2),)}, "a qcow2 disk without"),
        ({"discs": (Path("a,b"),)}, "a disc with a comma"),
        ({"vsock": Vsock(ports=(1, 2, 3, 4, 5))}, "5 vsock ports"),
        ({"network": Network.STREAM}, "a network by stream"),
    ],
)
def test_what_it_cannot_be_told_is_refused(fields, said):
    with pytest.raises(UnsupportedError, match=f"hyperkit cannot do {said}"):
        build(**fields)


def test_a_folder_for_vsock_may_have_no_semicolon():
    wiring = hyperkit_argv.Wiring(state_folder="/s", vsock_folder="/a;b")
    spec = MachineSpec(kernel=Path("k"), network=Network.NONE, vsock=Vsock())
    with pytest.raises(UnsupportedError, match="comma or semicolon"):
        hyperkit_argv.build(spec, wiring=wiring)


def test_names_have_identities_of_their_own():
    assert hyperkit_argv.uuid_of("web") == UUID != hyperkit_argv.uuid_of("db")


@pytest.mark.parametrize(
    "words",
    [
        ["-A"],
        ["-f", "efi,x"],
        ["-f", "kexec,k", "-s", "1,virtio-tpm"],
        ["-f", "kexec,k", "-s", "1,virtio-rnd", "-s", "1,virtio-net"],
        ["-f", "kexec,k", "-s", "32,virtio-rnd"],
        ["-f", "kexec,k", "-s", "1,virtio-blk"],
        ["-f", "kexec,k", "-s", "1,virtio-blk,/dev/null,fast"],
        ["-f", "kexec,k", "-m", "much"],
        ["-f", "kexec,k", "-U", "me"],
        ["-f", "kexec,k", "-l", "com1,telnet"],
        ["-f", "kexec,k", "-z"],
        ["-f", "kexec,k", "more"],
    ],
)
def test_the_grammar_is_strict(words, hyperkit_grammar):
    with pytest.raises(hyperkit_grammar.GrammarError):
        hyperkit_grammar.parse(["-l", "com1,stdio", *words])
