from pathlib import Path

import pytest

from sampan.errors import UnsupportedError
from sampan.machine.drivers import qemu_argv
from sampan.machine.forward import Forward
from sampan.machine.model import Accelerator, Arch, MachineSpec, Network

WIRING = qemu_argv.Wiring(control_fd=5, console_fd=6)


def build(accel=Accelerator.TCG, wiring=WIRING, **fields):
    spec = MachineSpec(kernel=Path("web-kernel"), **fields)
    return qemu_argv.build(spec, accel=accel, wiring=wiring)


def after(argv, flag):
    return [argv[index + 1] for index, word in enumerate(argv) if word == flag]


def test_the_whole_line():
    argv = build(
        initrd=Path("web-initrd.img"),
        cmdline="console=ttyS0 a=b",
        cpus=2,
        mem_mib=512,
        publish=(Forward.parse("8080:80"), Forward.parse("0.0.0.0:53:53/udp")),
        name="web",
    )
    mac = qemu_argv.mac_address("web")
    assert " ".join(f"'{word}'" if " " in word else word for word in argv) == (
        "qemu-system-x86_64 -name web -nodefaults -no-user-config -S -display none "
        "-machine pc -accel tcg,thread=single -cpu max,erms=off,fsrm=off -smp 2 -m 512M "
        "-kernel web-kernel -initrd web-initrd.img -append 'console=ttyS0 a=b' "
        "-chardev socket,id=qmp,fd=5,server=on,wait=off -mon chardev=qmp,mode=control "
        "-chardev socket,id=console,fd=6,server=on,wait=on -serial chardev:console "
        "-action panic=shutdown -device pvpanic "
        "-object rng-builtin,id=rng0 -device virtio-rng-pci,rng=rng0 -device vmgenid,guid=auto "
        "-netdev user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80,hostfwd=udp:0.0.0.0:53-:53 "
        f"-device virtio-net-pci,netdev=net0,mac={mac},romfile="
    )


@pytest.mark.parametrize(
    ("arch", "accel", "cpus", "found"),
    [
        (Arch.AMD64, Accelerator.TCG, 1, "tcg"),
        (Arch.AMD64, Accelerator.TCG, 2, "tcg,thread=single"),
        (Arch.AMD64, Accelerator.KVM, 2, "kvm"),
        (Arch.ARM64, Accelerator.TCG, 2, "tcg"),
    ],
)
def test_emulated_x86_processors_take_turns(arch, accel, cpus, found):
    assert after(build(accel, arch=arch, cpus=cpus), "-accel") == [found]


@pytest.mark.parametrize(
    ("arch", "accel", "program", "machine", "cpu", "panic"),
    [
        ("amd64", "tcg", "qemu-system-x86_64", "pc", "max,erms=off,fsrm=off", "pvpanic"),
        ("amd64", "kvm", "qemu-system-x86_64", "q35", "host", "pvpanic"),
        ("amd64", "hvf", "qemu-system-x86_64", "q35", "host", "pvpanic"),
        ("arm64", "tcg", "qemu-system-aarch64", "virt", "max,pauth-impdef=on", "pvpanic-pci"),
        ("arm64", "kvm", "qemu-system-aarch64", "virt,gic-version=host", "host", "pvpanic-pci"),
        ("arm64", "hvf", "qemu-system-aarch64", "virt", "host", "pvpanic-pci"),
    ],
)
def test_machine_types(arch, accel, program, machine, cpu, panic):
    argv = build(Accelerator(accel), arch=Arch(arch))
    assert argv[0] == program
    assert after(argv, "-machine") == [machine]
    assert after(argv, "-accel") == [accel]
    assert after(argv, "-cpu") == [cpu]
    assert after(argv, "-device")[0] == panic


def test_what_is_not_given_is_not_there():
    argv = build()
    assert "-initrd" not in argv
    assert "-append" not in argv
    assert after(argv, "-netdev") == ["user,id=net0"]


def test_a_machine_that_ends_on_reboot():
    assert after(build(reboots=False), "-action") == ["panic=shutdown,reboot=shutdown"]


def test_commas_in_a_name():
    assert after(build(name="a,b"), "-name") == ["a,,b"]


def test_own_address():
    assert "mac=52:54:00:00:00:01" in after(build(mac="52:54:00:00:00:01"), "-device")[-1]


def test_addresses_are_local_unicast_and_depend_on_the_name():
    addresses = {qemu_argv.mac_address(str(number)) for number in range(100)}
    assert len(addresses) == 100
    assert all(int(address[:2], 16) & 3 == 2 for address in addresses)


def test_ipv6_is_refused():
    with pytest.raises(UnsupportedError, match="QEMU's user networking cannot do") as caught:
        build(publish=(Forward.parse("[::1]:80:80"),))
    assert caught.value.hint == "publish on 127.0.0.1 or 0.0.0.0"


LINKED = qemu_argv.Wiring(control_fd=5, console_fd=6, link_fd=7)
SHARED = qemu_argv.Wiring(control_fd=5, console_fd=6, link_path="/run/a,b")


def test_a_machine_on_somebody_elses_network():
    argv = build(wiring=LINKED, network=Network.STREAM, mac="02:00:00:00:00:01")
    assert after(argv, "-netdev") == ["socket,id=net0,fd=7"]
    assert after(argv, "-device")[-1] == "virtio-net-pci,netdev=net0,mac=02:00:00:00:00:01,romfile="
    assert LINKED.descriptors == (5, 6, 7)


def test_a_back_end_reads_frames_in_the_guests_memory():
    argv = build(wiring=SHARED, network=Network.VHOST_USER, mem_mib=256)
    assert after(argv, "-netdev") == ["vhost-user,id=net0,chardev=link"]
    assert "socket,id=link,path=/run/a,,b" in after(argv, "-chardev")
    assert SHARED.descriptors == (5, 6)
    assert "memory-backend-memfd,id=ram0,size=256M,share=on" in after(argv, "-object")
    assert after(argv, "-machine") == ["pc,memory-backend=ram0"]


@pytest.mark.parametrize(
    ("network", "netdev"),
    [
        (Network.TAP, "tap,id=net0,ifname=i,,f,script=no,downscript=no"),
        (Network.BRIDGE, "bridge,id=net0,br=i,,f"),
    ],
)
def test_interfaces_of_the_host(network, netdev):
    argv = build(network=network, interface="i,f", mac="02:00:00:00:00:01")
    at = argv.index("-netdev")
    assert argv[at + 1] == netdev
    assert argv[at + 3] == "virtio-net-pci,netdev=net0,mac=02:00:00:00:00:01,romfile="


@pytest.mark.parametrize(("accel", "without"), [(Accelerator.TCG, True), (Accelerator.KVM, False)])
def test_a_back_end_without_kvm_has_no_message_interrupts(accel, without):
    """QEMU 7.2 crashes otherwise."""
    argv = build(accel=accel, wiring=SHARED, network=Network.VHOST_USER)
    assert after(argv, "-device")[-1].endswith(",vectors=0") is without


@pytest.mark.parametrize("arch", Arch)
def test_a_machine_without_a_network(arch):
    argv = build(arch=arch, network=Network.NONE)
    assert "-netdev" not in argv
    assert not any("virtio-net" in word for word in argv)


def test_a_window_brings_a_screen_and_on_arm_a_keyboard():
    assert "-display" not in build(display=True)
    assert "VGA" in after(build(display=True), "-device")
    found = after(build(display=True, arch=Arch.ARM64), "-device")
    assert {"virtio-gpu-pci", "usb-kbd,bus=gui.0", "usb-tablet,bus=gui.0"} < set(found)


def test_usb_and_devices_come_last():
    argv = build(usb=True, devices=("usb-host,hostbus=1,hostport=2", "edu"))
    assert argv[-6:] == (
        "-device", "qemu-xhci,id=usb0", "-device", "usb-host,hostbus=1,hostport=2",
        "-device", "edu",
    )  # fmt: skip


@pytest.mark.parametrize("network", [Network.DATAGRAM, Network.VPNKIT])
def test_links_of_other_hypervisors_are_refused(network):
    with pytest.raises(UnsupportedError, match="joins networks by streams"):
        build(wiring=SHARED, network=network)
