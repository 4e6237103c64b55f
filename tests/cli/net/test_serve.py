import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from sampan.cli.main import main
from sampan.net.runtime.control.client import Client
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.udp import Udp


@pytest.fixture
def serving(runtime, tmp_path, monkeypatch):
    """`sampan net serve WORDS` in a thread, for the length of a block: its control client."""
    monkeypatch.chdir(tmp_path)

    @contextmanager
    def serving(*words, name="default"):
        statuses: list[int] = []
        reading, ready = os.pipe()
        command = ["net", *map(str, words), "--ready-fd", str(ready)]
        thread = threading.Thread(target=lambda: statuses.append(main(command)))
        thread.start()
        while not select.select([reading], [], [], 0.1)[0]:
            assert thread.is_alive(), "it did not begin"
        assert os.read(reading, 1) == b"1"
        os.close(reading)
        client = Client(runtime / "net" / f"{name}.sock")
        try:
            yield client
        finally:
            client.shutdown()
            thread.join(60)
            assert statuses == [0]

    return serving


def test_it_says_what_listens(serving, runtime, capsys, tmp_path):
    with serving("serve", "--listen", "qemu:vm.sock", "--publish", "0:80") as client:
        assert (tmp_path / "vm.sock").is_socket()
        (forward,) = client.forwards()
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == (
            f"sampan: network default, controlled at {runtime}/net/default.sock\n"
            f"sampan: machines connect at qemu:{tmp_path}/vm.sock\n"
            f"    qemu-system-x86_64 … -netdev stream,id=net0,server=off,addr.type=unix,"
            f"addr.path={tmp_path}/vm.sock -device virtio-net-pci,netdev=net0\n"
            f"sampan: forwards {forward}\n"
        )
        assert client.info().listens == (f"qemu:{tmp_path}/vm.sock",)
    assert not (tmp_path / "vm.sock").exists()
    assert list((runtime / "net").iterdir()) == []


def test_json_and_quiet(serving, capsys):
    with serving("serve", "--json", "--listen", "qemu:vm.sock"):
        said = json.loads(capsys.readouterr().err)
    assert said["name"] == "default"
    assert len(said["links"]) == len(said["examples"]) == 1
    with serving("serve", "-q", "--listen", "qemu:vm.sock"):
        assert capsys.readouterr().err == ""


def test_single_dashes_and_vpnkits_names(serving, capsys, tmp_path):
    words = ("serve", "-ethernet", "eth.sock", "-gateway-ip", "192.168.70.1", "-host-ip",
             "192.168.70.2", "-mtu", "9000", "-max-connections", "9")  # fmt: skip
    with serving(*words) as client:
        said = client.info()
    assert (said.subnet, said.host, said.mtu) == ("192.168.70.0/24", "192.168.70.2", 9000)
    assert said.listens == (f"hyperkit:{tmp_path}/eth.sock",)


def test_capture_from_the_beginning(serving, tmp_path):
    with serving("serve", "--listen", "qemu:vm.sock", "--capture", "all.pcapng") as client:
        (record,) = client.captures()
        assert record.path == str(tmp_path / "all.pcapng")
    assert (tmp_path / "all.pcapng").read_bytes()[:4] == b"\x0a\x0d\x0d\x0a"


def test_two_networks_and_names(serving, sampan):
    with serving("serve", "--name", "a", "--listen", "qemu:a.sock", name="a"):
        with serving("serve", "--name", "b", "--listen", "qemu:b.sock", name="b"):
            said = sampan("net", "ls")
            assert (said.status, "name one of them: --name a, b" in said.err) == (2, True)
        assert sampan("net", "info").status == 0


def test_hooks_and_policy(serving, tmp_path):
    (tmp_path / "hooks.py").write_text(
        "from sampan.net import hook\n\n@hook.on_flow\ndef no(flow):\n    return None\n"
    )
    (tmp_path / "p.yml").write_text("default: deny\n")
    words = ("--hooks", "hooks.py", "--policy", "p.yml")
    with serving("serve", "--listen", "qemu:vm.sock", *words) as client:
        assert client.policy().default == "deny"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        ((), 2, "there is no place where machines could connect"),
        (("--listen", "x:y"), 2, "'x:y' is no place"),
        (("--listen", "qemu:a", "--name", "a/b"), 2, "no name for a network"),
        (("--listen", "qemu:no/folder/a"), 1, "cannot make a socket"),
        (("--listen", "qemu:a", "--hooks", "no.py"), 2, "no.py is not a file"),
        (("--listen", "qemu:a", "--publish", "80"), 2, "cannot forward '80'"),
        (("--listen", "qemu:a", "--ready-fd", "999"), 2, "--ready-fd 999"),
        (("--listen", "qemu:a", "--capture", "no/folder/a"), 2, "cannot be written"),
    ],
)
def test_what_cannot_be(sampan, runtime, tmp_path, words, status, message):
    said = sampan("net", "serve", *words)
    assert (said.status, message in said.err) == (status, True), said.err
    assert not (tmp_path / "a").exists()
    assert list((runtime / "net").glob("*")) == []


def test_a_name_that_is_taken(serving, sampan):
    with serving("serve", "--listen", "qemu:vm.sock"):
        said = sampan("net", "serve", "--listen", "qemu:other.sock")
        assert said.status == 1
        assert "listens at" in said.err
        assert "give the network another --name" in said.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_cleanly(runtime, tmp_path, number, request):
    reading, ready = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "sampan", "net", "serve", "-q", "--listen", "qemu:vm.sock",
         "--control", "c.sock", "--ready-fd", str(ready)],
        cwd=tmp_path, pass_fds=[ready],
        # what a shell starts in the background ignores SIGINT, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )  # fmt: skip
    request.addfinalizer(process.wait)
    request.addfinalizer(process.kill)
    os.close(ready)
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    process.send_signal(number)
    assert process.wait(60) == 0
    assert [each for each in tmp_path.iterdir() if each.suffix == ".sock"] == []


def test_it_ends_with_its_parents_pipe(runtime, tmp_path):
    """As a helper: frames on stdin and stdout, until they are hung up."""
    done = subprocess.run(
        [sys.executable, "-m", "sampan", "net", "serve", "--listen", "stdio"],
        input=b"", capture_output=True, cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert b"sampan: machines connect at stdio" in done.stderr
    assert Path(runtime / "net").exists()


def test_a_file_is_no_link(runtime, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sampan", "net", "serve", "--listen", "stdio"],
        stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert b"have to be pipes or sockets" in done.stderr


def test_a_network_that_dies_ends_the_command(runtime, tmp_path):
    """Whatever that was: who started it has to hear of it."""
    hooks = tmp_path / "hooks.py"
    hooks.write_text(
        "from sampan.net import hook\n\n\n"
        "@hook.on_dns\ndef fatal(query):\n    raise KeyboardInterrupt\n"
    )
    reading, ready = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "sampan", "net", "serve", "-q", "--listen", "qemu:vm.sock",
         "--hooks", str(hooks), "--ready-fd", str(ready)],
        cwd=tmp_path, pass_fds=[ready], stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(ready)
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    machine, gateway = bytes([192, 168, 65, 3]), bytes([192, 168, 65, 1])
    query = b"\0\7\1\0\0\1\0\0\0\0\0\0\4name\0\0\1\0\1"
    datagram = Udp(5353, 53, query).emit(machine, gateway)
    packet = Ipv4(machine, gateway, Protocol.UDP, datagram).emit()
    frame = Frame(b"\xff" * 6, b"\2\0\0\0\0\1", EtherType.IPV4, packet).emit()
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(tmp_path / "vm.sock"))
        link.sendall(len(frame).to_bytes(4, "big") + frame)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"the network has failed" in said


def test_what_goes_wrong_meanwhile_is_said(runtime, tmp_path):
    policy = tmp_path / "policy.yml"
    policy.write_text("default: deny\n")
    reading, ready = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "sampan", "net", "serve", "-q", "--listen", "qemu:vm.sock",
         "--policy", str(policy), "--ready-fd", str(ready)],
        cwd=tmp_path, pass_fds=[ready], stderr=subprocess.PIPE,
    )  # fmt: skip
    os.close(ready)
    assert os.read(reading, 1) == b"1"
    os.close(reading)
    policy.write_text("default: perhaps, or not\n")
    with process:
        assert process.stderr is not None
        assert b"the policy stays as it was" in process.stderr.readline()
        process.terminate()
