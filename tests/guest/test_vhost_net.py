"""QEMU's network card in shared memory, with the Linux kernel as its driver, on a real network."""

import hashlib
import os
import socket
import tempfile
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from sampan.machine import LaunchOptions
from sampan.machine.model import Network
from sampan.net.runtime.attach.vhost import listen_vhost
from sampan.net.runtime.usernet import UserNetwork
from sampan.vhost.core.feature import Net

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
MIB = 20
LINES = 400_000
HOST = "192.168.65.254"


class Peer:
    """A program on the host: sends `data` to whoever connects, and keeps what it is sent."""

    def __init__(self, data):
        self.data = data
        self.got = hashlib.md5()
        self.size = 0
        self.is_done = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(300)
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self._listening, self._listening.accept()[0] as connection:
            connection.settimeout(300)
            if self.data:  # busybox's nc ends with the first side that has said all
                connection.sendall(self.data)
                connection.shutdown(socket.SHUT_WR)
            while data := connection.recv(1 << 20):
                self.got.update(data)
                self.size += len(data)
        self.is_done.set()


@pytest.fixture(scope="module")
def system(boot):
    """A machine on a network of ours; `system.link` is its link."""
    with ExitStack() as stack:
        network = stack.enter_context(UserNetwork())
        running = stack.enter_context(_connected(boot, network, "02:00:00:00:00:01"))
        running.network = network
        running.run("true")
        yield running


@contextmanager
def _connected(boot, network, mac):
    """A booted machine, and its link; it looks for the network at a socket."""
    links = []

    def join(link, name):
        links.append(link)
        return plug(link, name)

    def plug(link, name):
        return network.call(lambda assembly: assembly.plug(link, name=name))

    with tempfile.TemporaryDirectory(prefix="sampan-") as folder:
        path = Path(folder, "net")
        listening = network.call(lambda net: listen_vhost(net.engine.loop, path, join))
        options = LaunchOptions(link_path=path)
        with boot(
            "vhost", mem_mib=160, options=options, network=Network.VHOST_USER, mac=mac
        ) as running:
            network.call(lambda _: listening.close())
            [running.link] = links
            yield running


def test_the_kernel_agreed_to_offload(system):
    """As the driver says it: the bits of its device, lowest first."""
    bits = system.run("cat /sys/class/net/eth0/device/features").strip()
    wanted = (
        Net.CSUM | Net.GUEST_CSUM | Net.GUEST_TSO4 | Net.GUEST_TSO6 | Net.HOST_TSO4
        | Net.HOST_TSO6 | Net.MERGED_BUFFERS
    )  # fmt: skip
    assert int(bits[::-1], 2) & wanted == wanted


def test_it_has_an_address_and_is_answered(system):
    assert "inet 192.168.65." in system.run("ip addr show eth0")
    assert "3 packets received" in system.run("ping -c 3 192.168.65.1")


def test_much_data_comes_whole(system):
    data = os.urandom(1 << 20) * MIB
    peer = Peer(data)
    shown = system.run(f"nc {HOST} {peer.port} < /dev/null | md5sum")
    assert hashlib.md5(data).hexdigest() in shown


def test_much_data_goes_whole(system):
    peer, lost = Peer(b""), system.link.lost
    system.run(f"seq {LINES} | nc {HOST} {peer.port}")
    assert peer.is_done.wait(300)
    expected = "".join(f"{number}\n" for number in range(1, LINES + 1)).encode()
    assert peer.size == len(expected)
    assert peer.got.digest() == hashlib.md5(expected).digest()
    assert system.link.lost == lost


def test_names_are_looked_up(system):
    assert HOST in system.run("nslookup host.sampan.internal 192.168.65.1")


def test_a_machine_that_is_started_again_is_a_new_link(boot, system):
    """Beside the first: each has a link, and they reach each other."""
    with _connected(boot, system.network, "02:00:00:00:00:02") as other:
        address = other.run("ip -4 addr show eth0").partition("inet ")[2].partition("/")[0]
        assert "3 packets received" in system.run(f"ping -c 3 {address}")
        plugs = system.network.call(lambda network: len(network.engine.plugs))
        assert plugs == 2
    assert "3 packets received" in system.run("ping -c 3 192.168.65.1")
    assert system.network.call(lambda network: len(network.engine.plugs)) == 1
