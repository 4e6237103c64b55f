"""Ports of the host that lead to a machine; and what users of others complain about there."""

import hashlib
import os
import re
import shutil
import socket
import subprocess
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from sampan.errors import SampanError
from sampan.net.link.stream import VMNET, Decoder
from sampan.net.runtime.control.assembled import serving
from sampan.net.services import forward
from sampan.net.wire import arp
from sampan.net.wire.address import parse_ip
from sampan.net.wire.ethernet import EtherType, Frame

pytestmark = pytest.mark.compat
MB = 1 << 20


@pytest.fixture
def expose(virtual_network):
    """Adds a forward by its text; gives it, with the port that was chosen."""

    def add(text):
        [wanted] = forward.parse(text)
        return virtual_network.network.expose(wanted)

    return add


@pytest.fixture
def listener(machine):
    """A TCP server in the machine, on port 8000."""
    with machine.socket() as server:
        server.bind(("", 8000))
        server.listen(100)
        yield server


def test_a_forward_listens_when_the_call_returns(expose, listener):
    """testcontainers-java #6450, #5034, #7875: ports that are not there yet."""
    for _ in range(50):
        made = expose("0:8000")
        with socket.create_connection((made.bind, made.port), timeout=60) as outside:
            inside, _ = listener.accept()
            with inside:
                outside.sendall(b"there")
                assert inside.recv(10) == b"there"


def test_the_machine_sees_the_host_as_who_connects(expose, listener):
    made = expose("0:8000")
    with socket.create_connection((made.bind, made.port), timeout=60):
        inside, (address, _) = listener.accept()
        inside.close()
    assert address in ("192.168.65.1", "192.168.65.254")


def test_much_data_both_ways(expose, listener):
    made, data = expose("0:8000"), hashlib.shake_256(b"data").digest(8 * MB)
    with socket.create_connection((made.bind, made.port), timeout=60) as outside:
        inside, _ = listener.accept()
        inside.settimeout(60)
        with inside:
            for speaker, hearer in ((outside, inside), (inside, outside)):
                thread = threading.Thread(target=_say, args=(speaker, data))
                thread.start()
                assert _hear(hearer) == data
                thread.join()


def _say(connection, data):
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


def _hear(connection):
    parts = []
    while part := connection.recv(MB):
        parts.append(part)
    return b"".join(parts)


def test_a_machine_that_refuses_resets(expose, machine):
    made = expose("0:8001")
    with pytest.raises(ConnectionResetError):  # which may come before connect has returned
        with socket.create_connection((made.bind, made.port), timeout=60) as outside:
            outside.recv(1)


def test_a_port_that_is_taken_names_who_has_it(expose, machine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SampanError, match=str(port)) as failure:
            expose(f"{port}:80")
    assert re.search(rf"\b{os.getpid()}\b|python|pytest", str(failure.value))


def test_a_forward_can_be_taken_back(expose, virtual_network, listener):
    made = expose("0:8000")
    virtual_network.network.unexpose(made)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((made.bind, made.port), timeout=60)
    assert virtual_network.network.forwards() == ()


def test_udp_there_and_back(expose, machine):
    """lima #366, #4040, #3152; colima #72, #708: UDP is forwarded as TCP is."""
    made = expose("0:8000/udp")
    with machine.socket(kind=socket.SOCK_DGRAM) as server:
        server.bind(("", 8000))
        with socket.socket(type=socket.SOCK_DGRAM) as first, socket.socket(type=2) as second:
            for client, text in ((first, b"one"), (second, b"two")):
                client.settimeout(60)
                client.sendto(text, (made.bind, made.port))
                data, sender = server.recvfrom(100)
                assert data == text
                server.sendto(text * 2, sender)
            assert first.recvfrom(100) == (b"oneone", (made.bind, made.port))
            assert second.recvfrom(100) == (b"twotwo", (made.bind, made.port))


def test_over_ipv6(expose, machine):
    machine.ip("address add fdc0:a841:6500::77/64 dev tap0 nodad")
    with machine.socket(socket.AF_INET6) as server:
        server.bind(("::", 8000))
        server.listen()
        made = expose("[::1]:0:[fdc0:a841:6500::77]:8000")
        with socket.create_connection((made.bind, made.port), timeout=60) as outside:
            inside, _ = server.accept()
            with inside:
                inside.sendall(b"six")
                assert outside.recv(10) == b"six"


def test_a_unix_socket_leads_to_the_machine(expose, listener, runtime_root):
    expose(f"{runtime_root}/web.sock:8000")
    with socket.socket(socket.AF_UNIX) as outside:
        outside.settimeout(60)
        outside.connect(str(runtime_root / "web.sock"))
        inside, _ = listener.accept()
        with inside:
            inside.sendall(b"unix")
            assert outside.recv(10) == b"unix"


def test_machines_reach_one_another(virtual_network, machine, listener):
    other = virtual_network.machine()
    with other.connect(machine.address, 8000) as connection:
        inside, (address, _) = listener.accept()
        with inside:
            assert address == other.address
            connection.sendall(b"neighbour")
            assert inside.recv(100) == b"neighbour"
    assert "2 received" in other.run(["ping", "-c2", "-i0.05", machine.address]).stdout


SSHD = """\
Port 22
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
StrictModes no
PasswordAuthentication no
UsePAM no
PidFile none
"""


@pytest.fixture
def ssh(expose, machine, tmp_path, background, wait_until):
    """The words that begin an ssh command to the machine, from the host through a forward."""
    if os.geteuid():
        pytest.skip("sshd gives up its privileges, so it needs root")
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / name]
        subprocess.run(key, check=True)
    (tmp_path / "sshd_config").write_text(SSHD.format(folder=tmp_path))
    machine.run(["mount", "-t", "tmpfs", "none", "/run"])
    machine.run(["mkdir", "/run/sshd"])
    background(machine, ["sshd", "-D", "-e", "-f", tmp_path / "sshd_config"])
    made = expose("0:22")
    options = (
        "StrictHostKeyChecking=no", f"UserKnownHostsFile={tmp_path}/known", "LogLevel=ERROR",
        "BatchMode=yes", f"IdentityFile={tmp_path}/user", "ConnectTimeout=60", f"Port={made.port}",
    )  # fmt: skip
    words = [
        shutil.which("ssh"),
        "-F",
        "none",
        *(f"-o{each}" for each in options),
        "root@127.0.0.1",
    ]
    wait_until(lambda: _ran([*words, "true"]).returncode == 0, "ssh")
    return words


def _ran(argv, data=b""):
    return subprocess.run(argv, input=data, capture_output=True, timeout=60, check=False)


def test_ssh_logs_in_and_carries_files(ssh, machine):
    """As scp and rsync do: both ends talk at once, in small pieces and in large ones."""
    assert (
        _ran([*ssh, "ip -o -4 address show tap0"]).stdout.split()[3].decode()
        == f"{machine.address}/24"
    )
    data = hashlib.shake_256(b"file").digest(16 * MB)
    done = _ran([*ssh, "tee /run/copy | sha256sum >&2; cat /run/copy"], data)
    assert done.stdout == data
    assert done.stderr.split()[0].decode() == hashlib.sha256(data).hexdigest()


@pytest.fixture
def control(virtual_network, tmp_path, monkeypatch):
    """Connects to the network's control socket."""
    monkeypatch.chdir(tmp_path)
    with serving(virtual_network.network, Path("c.sock"), name="test"), ExitStack() as stack:

        def connect():
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.settimeout(60)
            client.connect("c.sock")
            return client

        yield connect


def test_gvproxys_tunnel(control, machine, listener):
    """Said as gvisor-tap-vsock's client says it, to the machine's kernel."""
    client, data = control(), hashlib.shake_256(b"data").digest(8 * MB)
    client.sendall(
        f"POST /tunnel?ip={machine.address}&port=8000 HTTP/1.1\r\nHost: \r\n".encode()
        + b"User-Agent: Go-http-client/1.1\r\nContent-Length: 0\r\n\r\n"
    )
    assert client.recv(2, socket.MSG_WAITALL) == b"OK"
    inside, _ = listener.accept()
    inside.settimeout(60)
    with inside:
        for speaker, hearer in ((client, inside), (inside, client)):
            thread = threading.Thread(target=_say, args=(speaker, data))
            thread.start()
            assert _hear(hearer) == data
            thread.join()
    refused = control()
    request = f"POST /tunnel?ip={machine.address}&port=8001 HTTP/1.1\r\nHost: \r\n\r\n"
    refused.sendall(request.encode())
    assert b" 502 " in refused.recv(100)


def test_gvproxys_connect(control, virtual_network, machine):
    """A machine on `/connect` reaches one on TAP; a pipe of frames stands for gvforwarder."""
    client = control()
    client.sendall(b"POST /connect HTTP/1.1\r\nHost: \r\nContent-Length: 0\r\n\r\n")
    mac = bytes.fromhex("020000000063")
    who, other = bytes([192, 168, 65, 99]), parse_ip(machine.address)
    asking = arp.Arp(arp.Operation.REQUEST, mac, who, bytes(6), other)
    frame = Frame(b"\xff" * 6, mac, EtherType.ARP, asking.emit()).emit()
    client.sendall(len(frame).to_bytes(2, "little") + frame)
    decoder = Decoder(VMNET)
    answers: list[arp.Arp] = []
    while not answers:
        for data in decoder.received(client.recv(1 << 16)):
            found = Frame.parse(data)
            if found.ethertype == EtherType.ARP and found.destination == mac:
                answers.append(arp.Arp.parse(found.payload))
    assert answers[0].sender_ip == other
