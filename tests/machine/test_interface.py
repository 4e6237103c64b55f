import os

import pytest

from sampan.machine import interface
from sampan.machine.drivers.qemu import QemuDriver
from sampan.machine.error import MachineError
from sampan.machine.model import Network
from sampan.machine.testing import spec

ADMIN, ORDINARY = "CapEff:\t0000000000001000\n", "CapEff:\t0000000000000000\n"


@pytest.fixture
def host(tmp_path):
    """A host's devices in a folder; `check(kind, name)` asks about one."""

    class Host:
        names: list[str] = []  # noqa: RUF012
        sysfs = tmp_path / "net"
        status = tmp_path / "status"
        lists = (tmp_path / "etc", tmp_path / "local")

        def device(self, name, **files):
            folder = self.sysfs / name
            folder.mkdir(parents=True)
            self.names.append(name)
            for each, text in {"ifindex": f"{len(self.names)}\n", **files}.items():
                (folder / each).write_text(text)
            return folder

        def index(self, name):
            if name not in self.names:
                raise OSError(19, "No such device")
            return 1 + self.names.index(name)

        def bridge(self, name):
            (self.device(name) / "bridge").mkdir()

        def allowed(self, text, place=0):
            self.lists[place].mkdir(exist_ok=True)
            (self.lists[place] / "bridge.conf").write_text(text)

        def check(self, kind, name):
            interface.check(
                spec(network=kind, interface=name),
                sysfs=self.sysfs, status=self.status, lists=self.lists, index=self.index,
            )  # fmt: skip

    found = Host()
    found.status.write_text(ORDINARY)
    found.sysfs.mkdir()
    return found


def refused(host, kind, name):
    with pytest.raises(MachineError) as caught:
        host.check(kind, name)
    return caught.value


def test_tap_that_is_there(host):
    host.device("lab0", tun_flags="0x1002\n", owner=f"{os.geteuid()}\n", group="-1\n")
    host.check(Network.TAP, "lab0")
    host.device("lab1", tun_flags="0x1002\n", owner="-1\n", group=f"{os.getegid()}\n")
    host.check(Network.TAP, "lab1")


def test_unknown_tap(host):
    error = refused(host, Network.TAP, "lab9")
    assert error.message == "there is no network device lab9"
    assert "ip tuntap add lab9 mode tap" in error.hint


def test_sysfs_of_another_namespace(host):
    host.device("eth0", ifindex="9\n")
    host.check(Network.TAP, "eth0")
    host.allowed("allow eth0")
    host.check(Network.BRIDGE, "eth0")


@pytest.mark.parametrize("files", [{}, {"tun_flags": "0x1001\n"}, {"tun_flags": "?"}])
def test_what_is_no_tap(host, files):
    host.device("eth0", **files)
    assert "eth0 is no TAP device" in refused(host, Network.TAP, "eth0").message


@pytest.mark.parametrize(("owner", "group"), [("4711", "-1"), ("-1", "4711")])
def test_another_users_tap(host, owner, group):
    host.device("lab0", tun_flags="0x2", owner=owner, group=group)
    assert "lab0 is another user's" in refused(host, Network.TAP, "lab0").message
    host.status.write_text(ADMIN)
    host.check(Network.TAP, "lab0")


def test_root_where_nothing_says_what_it_may(host, monkeypatch):
    host.device("lab0", tun_flags="0x2", owner="4711")
    host.status.unlink()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    host.check(Network.TAP, "lab0")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    refused(host, Network.TAP, "lab0")


def test_unknown_bridge(host):
    error = refused(host, Network.BRIDGE, "br9")
    assert error.message == "there is no bridge br9"
    assert "ip link add br9 type bridge" in error.hint


def test_what_is_no_bridge(host):
    host.device("eth0")
    assert "eth0 is no bridge" in refused(host, Network.BRIDGE, "eth0").message


@pytest.mark.parametrize("text", ["allow br0\n", "# all\nallow all # of them", "  allow   br0"])
def test_bridge_that_is_allowed(host, text):
    host.bridge("br0")
    host.allowed(text)
    host.check(Network.BRIDGE, "br0")


@pytest.mark.parametrize(
    "text",
    ["", "allow br1\n", "allow br0\ndeny all\n", "deny br0\nallow all\n", "#allow br0", "allow"],
)
def test_bridge_that_is_not(host, text):
    host.bridge("br0")
    host.allowed(text)
    error = refused(host, Network.BRIDGE, "br0")
    path = host.lists[0] / "bridge.conf"
    assert error.message == (
        f"QEMU may not connect machines to the bridge br0: {path} does not allow it"
    )
    assert error.hint == f"say it there: echo allow br0 | sudo tee -a {path}"


def test_no_list_at_all(host):
    host.bridge("br0")
    assert str(host.lists[0]) in refused(host, Network.BRIDGE, "br0").hint


def test_another_qemus_list(host):
    host.bridge("br0")
    host.allowed("deny all\n")
    host.allowed("allow br0\n", place=1)
    host.check(Network.BRIDGE, "br0")


def test_included_lists(host, tmp_path):
    host.bridge("br0")
    host.allowed(f"include {tmp_path / 'more'}\n")
    (tmp_path / "more").write_text("allow br0\n")
    host.check(Network.BRIDGE, "br0")
    (tmp_path / "more").write_text(f"include {tmp_path / 'more'}\ninclude {tmp_path / 'none'}\n")
    refused(host, Network.BRIDGE, "br0")


def test_list_that_is_roots_to_read(host):
    host.bridge("br0")
    (host.lists[0] / "bridge.conf").mkdir(parents=True)  # not even root reads that
    host.check(Network.BRIDGE, "br0")


def test_hosts_without_sysfs(host):
    host.sysfs.rmdir()
    host.check(Network.TAP, "lab0")
    host.check(Network.BRIDGE, "br0")


def test_other_networks(host):
    host.check(Network.USER, "")


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\0b", "é" * 100])
def test_names_that_no_device_has(host, name):
    with pytest.raises(MachineError):
        interface.check(spec(network=Network.TAP, interface=name), sysfs=host.sysfs)


@pytest.mark.skipif(not interface.SYSFS.is_dir(), reason="needs Linux")
@pytest.mark.parametrize("network", [Network.TAP, Network.BRIDGE])
def test_qemu_is_not_even_looked_for(network, tmp_path):
    wanted = spec(network=network, interface="sampan-none")
    with pytest.raises(MachineError) as caught:
        QemuDriver().verdict(wanted, tmp_path)
    assert caught.value.message.endswith(" sampan-none")
