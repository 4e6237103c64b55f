"""`sampan net` as a user has it: processes, and QEMU, curl and dig as the others."""

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from sampan.net.runtime.control.client import Client

pytestmark = pytest.mark.compat
SAMPAN = [sys.executable, "-m", "sampan"]
PATIENCE_S = 60
ROMS = (Path("/usr/lib/ipxe/qemu"), Path("/usr/share/qemu"))


def _until(condition):
    end = time.monotonic() + PATIENCE_S
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


@pytest.fixture
def begin(tmp_path, tmp_path_factory, monkeypatch):
    """Start `sampan net …`; returns its control client once everything listens."""
    runtime = tmp_path_factory.mktemp("n")
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(runtime))
    monkeypatch.chdir(tmp_path)

    @contextmanager
    def begin(*words, name="default"):
        reading, ready = os.pipe()
        argv = [*SAMPAN, "net", *words, "--name", name, "--ready-fd", str(ready)]
        with subprocess.Popen(argv, pass_fds=[ready]) as process:
            os.close(ready)
            try:
                assert os.read(reading, 1) == b"1"
                yield Client(runtime / "net" / f"{name}.sock")
            finally:
                os.close(reading)
                process.terminate()
        assert process.returncode == 0

    return begin


def _qemu(*words):
    """A machine without a disk: its network card's ROM asks for an address."""
    if shutil.which("qemu-system-x86_64") is None:
        pytest.skip("there is no qemu-system-x86_64")
    if not any((folder / "pxe-virtio.rom").exists() for folder in ROMS):
        pytest.skip("there are no ROMs of iPXE")
    argv = ["qemu-system-x86_64", "-m", "128", "-display", "none", "-boot", "n", *words]
    return subprocess.Popen(argv, stdin=subprocess.DEVNULL)


LOCAL = "local.type=unix,local.path=vm.sock.vm"
MEMORY = ("-object", "memory-backend-memfd,id=m,size=128M,share=on")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("qemu", ("-machine", "accel=tcg", "-netdev",
                  "stream,id=n,server=off,addr.type=unix,addr.path=vm.sock")),
        ("dgram", ("-machine", "accel=tcg", "-netdev",
                   f"dgram,id=n,{LOCAL},remote.type=unix,remote.path=vm.sock")),
        ("vhost-user", (*MEMORY, "-machine", "accel=tcg,memory-backend=m", "-chardev",
                        "socket,id=c,path=vm.sock", "-netdev", "vhost-user,id=n,chardev=c")),
    ],
)  # fmt: skip
def test_qemu_connects_and_gets_an_address(begin, kind, words):
    with begin("serve", "--listen", f"{kind}:vm.sock") as client:
        card = ("-device", "virtio-net-pci,netdev=n,mac=52:54:00:00:00:07")
        with _qemu(*words, *card) as machine:
            try:
                (lease,) = _until(lambda: [each for each in client.leases() if each.link == "vm"])
                assert lease.mac == "52:54:00:00:00:07"
                (link,) = client.links()
                assert link.macs == ("52:54:00:00:00:07",)
            finally:
                machine.kill()
        _until(lambda: kind == "dgram" or client.links() == ())


@pytest.fixture
def attached(begin):
    """A namespace that `sampan net attach` connects: its process, and the network's client."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("it takes root, and unshare")
    with subprocess.Popen(["unshare", "--net", "sleep", "1000"]) as sleeper:
        try:
            namespace = Path(f"/proc/{sleeper.pid}/ns/net")
            _until(lambda: namespace.readlink() != Path("/proc/self/ns/net").readlink())
            with begin("attach", "--netns", str(sleeper.pid), name="ns") as client:
                yield sleeper.pid, client
        finally:
            sleeper.kill()


def _inside(pid, *words):
    argv = ["nsenter", "--target", str(pid), "--net", *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def pages(tmp_path):
    """A web server on the host's loopback interface: its port."""
    (tmp_path / "page").write_text("of the host")
    argv = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    with subprocess.Popen(
        argv, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline().split("port ")[1].split()[0])
        server.kill()


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_attached_both_ways(attached, pages, tmp_path):
    pid, client = attached
    url = f"http://192.168.65.254:{pages}/page"
    assert _inside(pid, "curl", "--silent", url).stdout == "of the host"

    enter = ["nsenter", "--target", str(pid), "--net"]
    server = [sys.executable, "-m", "http.server", "8000"]
    with subprocess.Popen([*enter, *server], cwd=tmp_path, stderr=subprocess.DEVNULL) as inside:
        try:
            expose = [*SAMPAN, "net", "expose", "--json", "0:8000"]
            port = json.loads(subprocess.run(expose, capture_output=True, check=True).stdout)[
                "port"
            ]
            fetch = ["curl", "--silent", "--retry", "60", "--retry-all-errors", "--retry-delay", "1",
                     f"http://127.0.0.1:{port}/page"]  # fmt: skip
            assert subprocess.run(fetch, capture_output=True, check=True).stdout == b"of the host"
        finally:
            inside.kill()
    counters = client.stats().counters
    assert counters["tcp_opened"] >= 1
    assert counters["tcp_forwarded"] >= 1


@pytest.mark.skipif(shutil.which("dig") is None, reason="there is no dig")
def test_names_that_are_added(attached):
    pid, _ = attached
    add = [*SAMPAN, "net", "dns", "add", "db.test", "192.168.65.9"]
    subprocess.run(add, check=True)
    dig = _inside(pid, "dig", "+short", "@192.168.65.1", "db.test")
    assert dig.stdout == "192.168.65.9\n"


@pytest.mark.skipif(shutil.which("tshark") is None, reason="there is no tshark")
def test_capture_is_read_by_wireshark(attached, tmp_path):
    pid, _ = attached
    read = ["tshark", "-r", "p.pcapng", "-T", "fields", "-e", "icmp.type"]

    def seen():
        return subprocess.run(read, capture_output=True, text=True, check=False).stdout.split()

    capture = [*SAMPAN, "net", "capture", "-w", "p.pcapng", "--filter", "icmp"]
    with subprocess.Popen(capture) as running:
        _until(lambda: (tmp_path / "p.pcapng").exists() and (tmp_path / "p.pcapng").stat().st_size)
        assert _inside(pid, "ping", "-c", "1", "-W", "60", "192.168.65.1").returncode == 0
        _until(lambda: len(seen()) == 2)
        running.terminate()
    assert seen() == ["8", "0"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_curl_speaks_to_the_api(begin):
    with begin("serve", "--listen", "qemu:vm.sock") as client:

        def call(*words):
            curl = ["curl", "--silent", "--show-error", "--unix-socket", str(client.path), *words]
            return json.loads(
                subprocess.run(curl, capture_output=True, check=True).stdout or "null"
            )

        assert call("http://net/v1/network")["name"] == "default"
        body = '{"local": "127.0.0.1:0", "remote": "192.168.65.3:80"}'
        assert call("http://net/services/forwarder/expose", "--data", body) is None
        (forward,) = call("http://net/services/forwarder/all")
        assert forward["remote"] == "192.168.65.3:80"
        large = json.dumps({"default": "deny", "rules": [{"allow": "a.test", "name": "x" * 9000}]})
        assert call("-X", "PUT", "http://net/v1/policy", "--data", large)["default"] == "deny"
        assert call("http://net/v2/flows")["error"]["code"] == 2
