"""VPNKit's own programs and ours, each with the other's: who asks for ports, and who answers.

They come with VPNKit's sources: `go build ./go/cmd/vpnkit-expose-port` and `…/vpnkit-forwarder`.
"""

import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from sampan.net.runtime.control.asking import answering
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.services.portcontrol import Allowed
from sampan.net.setting import Settings

pytestmark = [
    pytest.mark.compat,
    pytest.mark.skipif(
        any(shutil.which(each) is None for each in ("vpnkit-expose-port", "vpnkit-forwarder")),
        reason="needs vpnkit-expose-port and vpnkit-forwarder",
    ),
]
OURS = [
    sys.executable, "-c",
    "import sys; from sampan.guest.tool.main import main; sys.exit(main(sys.argv[1:]))",
    "vpnkit-expose-port",
]  # fmt: skip
THEIRS = ["vpnkit-expose-port"]


@pytest.fixture
def forwarder(tmp_path):
    """VPNKit's, which is asked at `control` and connected to at `data`."""
    argv = [
        "vpnkit-forwarder",
        "-control-listen",
        tmp_path / "control",
        "-data-listen",
        tmp_path / "data",
    ]
    with subprocess.Popen(argv, stderr=subprocess.PIPE) as child:
        for line in child.stderr:
            if b"listening on" in line:
                break
        threading.Thread(target=child.stderr.read, daemon=True).start()
        yield tmp_path
        child.terminate()


@pytest.fixture
def network(forwarder):
    """Ours, whose machine's forwarder is VPNKit's."""

    def dial():
        made = socket.socket(socket.AF_UNIX)
        made.connect(str(forwarder / "data"))
        return made

    with (
        UserNetwork(Settings(hosts_files=())) as made,
        answering(made, forwarder / "asked", dial, Allowed.LOOPBACK),
    ):
        yield made


@pytest.fixture
def server():
    """Says what it hears, until it hears the end."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            while True:
                connection, _ = listener.accept()
                with connection:
                    heard = b""
                    while part := connection.recv(4096):
                        heard += part
                    if not heard:
                        return
                    connection.sendall(heard)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        socket.create_connection(listener.getsockname()).close()
        thread.join(60)


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def talk(port):
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        client.sendall(b"hello")
        client.shutdown(socket.SHUT_WR)
        return client.recv(100)


@pytest.mark.parametrize("program", [THEIRS, OURS], ids=["theirs", "ours"])
def test_asking_our_network(network, forwarder, server, program):
    port = free_port()
    words = [
        "-proto", "tcp", "-host-ip", "127.0.0.1", "-host-port", str(port), "-container-ip",
        "127.0.0.1", "-container-port", str(server), "-local-bind", "never", "-i",
    ]  # fmt: skip
    argv = [*program, *words, "-control", str(forwarder / "asked")]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
        wait_for(network.forwards)
        assert talk(port) == b"hello"
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    assert network.forwards() == ()


@pytest.mark.parametrize("program", [THEIRS, OURS], ids=["theirs", "ours"])
def test_refused(network, forwarder, program):
    words = ["-host-ip", "192.0.2.1", "-host-port", "80", "-container-ip", "127.0.0.1"]
    argv = [*program, *words, "-container-port", "80", "-local-bind", "never", "-i"]
    done = subprocess.run(
        [*argv, "-control", forwarder / "asked"], capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert b"may ask for ports of loopback addresses, not of 192.0.2.1" in done.stderr


def test_asking_their_control(forwarder):
    """Our program and the forwarder's control server; nothing is behind the port."""
    port = free_port()
    words = ["-host-ip", "127.0.0.1", "-host-port", str(port), "-container-port", "80"]
    argv = [*OURS, *words, "-local-bind", "never", "-i", "-control", forwarder / "control"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as child:
        assert b"is open" in child.stdout.readline()
        with socket.create_connection(("127.0.0.1", port), timeout=60):
            pass
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=60)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)
