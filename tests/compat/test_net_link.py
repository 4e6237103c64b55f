"""Real peers at the other end of a link: QEMU's boot ROM, and the kernel in a namespace."""

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from sampan.base import proc
from sampan.base.loop import Loop
from sampan.net.core.network import Network
from sampan.net.runtime.attach import tap
from sampan.net.runtime.attach.datagram import datagram_link
from sampan.net.runtime.attach.listener import listen_stream
from sampan.net.runtime.attach.netns import Interface, attach
from sampan.net.runtime.control.assembled import serving
from sampan.net.runtime.control.client import Client
from sampan.net.runtime.engine import Engine
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.setting import Settings

pytestmark = pytest.mark.compat
needs_qemu = pytest.mark.skipif(not proc.has_tool("qemu-system-x86_64"), reason="takes QEMU")
needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or not Path(tap.DEVICE).exists() or not proc.has_tool("unshare"),
    reason="takes root, /dev/net/tun and unshare",
)
PATIENCE_S = 60


class Net:
    """A network where DHCP questions are only noted."""

    def __init__(self, folder):
        self.folder = folder
        self.loop = Loop()
        self.engine = Engine(self.loop, Network())
        self.asked: list[bytes] = []
        self.engine.serve(67, lambda each, now: self.asked.append(each.payload))
        self.machine = None

    def boot(self, device):
        self.machine = subprocess.Popen(
            ["qemu-system-x86_64", "-nographic", "-m", "32", "-boot", "n", "-netdev", device,
             "-device", "virtio-net-pci,netdev=n"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip

    def until(self, condition):
        end = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end, "it did not happen"
            self.loop.run_once(0.2)

    def stop(self):
        if self.machine is not None:
            self.machine.kill()
            self.machine.wait()

    def close(self):
        self.stop()
        self.engine.close()
        self.loop.close()


@pytest.fixture
def net(runtime_root):
    made = Net(runtime_root)
    yield made
    made.close()


@needs_qemu
def test_netdev_stream(net):
    path = net.folder / "s"
    listener = listen_stream(net.loop, path, lambda link, name: net.engine.plug(link, name=name))
    net.boot(f"stream,id=n,addr.type=unix,addr.path={path},server=off")
    net.until(lambda: net.asked)
    assert net.asked[0][:4] == b"\1\1\6\0"  # BOOTP, a request over Ethernet
    net.stop()
    net.until(lambda: not net.engine.plugs)
    listener.close()


@needs_qemu
def test_netdev_dgram(net):
    ours, theirs = net.folder / "ours", net.folder / "theirs"
    net.engine.plug(datagram_link(ours), name="vm")
    net.boot(f"dgram,id=n,local.type=unix,local.path={theirs},remote.type=unix,remote.path={ours}")
    net.until(lambda: net.asked)
    assert net.asked[0][:4] == b"\1\1\6\0"
    assert next(iter(net.engine.plugs.values())).link.lost <= 5  # before it spoke


@needs_root
@pytest.mark.parametrize("options", [[], ["--user", "--map-root-user"]], ids=["root", "user"])
def test_the_kernel_in_a_namespace_gets_addresses_of_both_families(net, options):
    command = ["unshare", *options, "--net", "sh", "-c", "echo; exec sleep 60"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline()  # it is there now
        ours = bytes([192, 168, 65, 9])
        interface = Interface(address=ours, gateway=net.engine.stack.network.gateway, mtu=65520)
        net.engine.plug(attach(process.pid, interface), name="tap", mtu=65520)
        table = Path(f"/proc/{process.pid}/net/if_inet6")
        prefix = net.engine.stack.network.prefix6.hex()
        net.until(lambda: prefix in table.read_text())
        routes = Path(f"/proc/{process.pid}/net/ipv6_route")
        net.until(lambda: any(line.startswith("0" * 32 + " 00") and "tap0" in line
                              for line in routes.read_text().splitlines()))  # fmt: skip
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@needs_qemu
def test_qemu_at_a_place_that_was_added(tmp_path, monkeypatch):
    """Its boot ROM asks for an address by a socket that is there since the network runs."""
    monkeypatch.chdir(tmp_path)
    with (
        UserNetwork(Settings(hosts_files=())) as network,
        serving(network, Path("c.sock"), name="test"),
    ):
        client = Client(Path("c.sock"), timeout_s=60)
        client.add_link(f"qemu:{tmp_path}/b.sock")
        machine = subprocess.Popen(
            ["qemu-system-x86_64", "-nographic", "-m", "32", "-boot", "n", "-netdev",
             "stream,id=n,server=off,addr.type=unix,addr.path=b.sock",
             "-device", "virtio-net-pci,netdev=n"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            end = time.monotonic() + PATIENCE_S
            while not client.leases():
                assert time.monotonic() < end, "no machine came"
                threading.Event().wait(0.05)
            assert [each.name for each in client.links()] == ["b"]
        finally:
            machine.kill()
            machine.wait()
