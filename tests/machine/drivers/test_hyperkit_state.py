import json
from pathlib import Path

from sampan.machine import Disk, MachineSpec, Network, Vsock
from sampan.machine.drivers import hyperkit_argv, hyperkit_state

# go/hyperkit.go of HyperKit, its struct's JSON names
KEYS = [
    "hyperkit",
    "argv0",
    "state_dir",
    "vpnkit_sock",
    "vpnkit_uuid",
    "vpnkit_preferred_ipv4",
    "uuid",
    "disks",
    "iso",
    "vsock",
    "vsock_dir",
    "vsock_ports",
    "vsock_guest_cid",
    "vmnet",
    "9p_sockets",
    "kernel",
    "initrd",
    "bootrom",
    "cpus",
    "memory",
    "console",
    "serials",
    "pid",
    "arguments",
    "cmdline",
]


def document(**fields):
    spec = MachineSpec(kernel=Path("k"), name="web", **fields)
    wiring = hyperkit_argv.Wiring(state_folder="/s", link_path="/n", vsock_folder="/v")
    argv = hyperkit_argv.build(spec, wiring=wiring)
    return json.loads(hyperkit_state.document(spec, wiring, argv, 77)), argv


def test_the_keys_are_those_of_the_bindings():
    found, argv = document(network=Network.NONE)
    assert list(found) == KEYS
    assert found["pid"] == 77
    assert tuple(found["arguments"]) == argv
    assert (found["vmnet"], found["vsock"], found["vpnkit_sock"]) == (False, False, "")


def test_devices(tmp_path):
    disk = tmp_path / "d.img"
    disk.write_bytes(bytes(3 << 20))
    found, _ = document(
        network=Network.VPNKIT,
        disks=(Disk(path=disk), Disk(path=tmp_path / "none")),
        vsock=Vsock(ports=(7,)),
    )
    assert found["disks"] == [
        {"path": str(disk), "size": 3, "format": "raw"},
        {"path": str(tmp_path / "none"), "size": 0, "format": "raw"},
    ]
    assert (found["vsock_dir"], found["vsock_ports"], found["vsock_guest_cid"]) == ("/v", [7], 3)
    assert (found["vpnkit_sock"], found["vpnkit_uuid"]) == ("/n", hyperkit_argv.uuid_of("web"))
    assert document(network=Network.USER)[0]["vmnet"]


def test_the_files(tmp_path):
    hyperkit_state.write(tmp_path, b"{}", "/dev/pts/3")
    assert (tmp_path / "tty").read_text() == "/dev/pts/3\n"
    written = {path for path in hyperkit_state.paths(tmp_path) if path.exists()}
    assert {path.name for path in written} == {"hyperkit.json", "tty"}
