"""`sampan run` and `sampan net`, as people use them: systems in processes of their own."""

import http.server
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
EXAMPLES = Path(__file__).parents[2] / "examples" / "systems"
SYSTEMS = Path(__file__).parent / "systems"
BOOT_S = 300
COMMAND = (sys.executable, "-m", "sampan")


class Running:
    """A `sampan run` whose terminal is ours."""

    def __init__(self, words):
        self.terminal, theirs = pty.openpty()
        self.child = subprocess.Popen(
            [*COMMAND, "run", *words], stdin=theirs, stdout=theirs, stderr=subprocess.PIPE
        )
        os.close(theirs)
        self.shown = ""
        self._count = 0
        os.set_blocking(self.child.stderr.fileno(), False)
        self.said = ""

    def wait_for(self, pattern, seconds=BOOT_S):
        """Read on until what the console has shown since the last match fits."""
        deadline = time.monotonic() + seconds
        while (found := re.search(pattern, self.shown)) is None:
            left = deadline - time.monotonic()
            assert left > 0, self.shown
            if select.select([self.terminal], [], [], left)[0]:
                data = os.read(self.terminal, 65536).decode(errors="replace")
                self.shown += data.replace("\r", "")
            self.said += (self.child.stderr.read() or b"").decode()
        before, self.shown = self.shown[: found.end()], self.shown[found.end() :]
        return before

    def run(self, command):
        """What a command of the guest's shell prints; the numbers tell its output from its echo."""
        if not self._count:
            os.write(self.terminal, b"\n")  # it may have shown its prompt already
            self.wait_for(r"\(ns: getty\)")
        self._count += 1
        line = f"echo B$((0 + {self._count})); {command} 2>&1; echo; echo E$((0 + {self._count}))\n"
        os.write(self.terminal, line.encode())
        self.wait_for(f"\nB{self._count}\n", BOOT_S)
        return self.wait_for(f"\nE{self._count}\n", BOOT_S)

    @property
    def ports(self):
        """The published ports, as it said them."""
        return [int(each) for each in re.findall(r":(\d+)/\w+ is port", self.said)]

    def terminate(self):
        """As systemd ends it: the guest powers off, and the status is 0."""
        self.child.send_signal(signal.SIGTERM)
        self.wait_for("Power down")
        return self.child.wait(timeout=BOOT_S)

    def close(self):
        self.child.kill()
        self.child.wait()
        self.child.stderr.close()
        os.close(self.terminal)


def get(port):
    """A page of a machine; a server that was started a moment ago may not listen yet."""
    deadline = time.monotonic() + 300
    while True:
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=300).read()
        except (urllib.error.URLError, ConnectionError):
            assert time.monotonic() < deadline


@pytest.fixture
def run(built, runtime, request):
    """Start `sampan run` with a system and flags."""

    def start(source, *words):
        running = Running([*words, "--accel", "tcg", "--mem", "192", str(built(source))])
        request.addfinalizer(running.close)
        return running

    return start


@pytest.fixture
def runtime(tmp_path_factory, monkeypatch):
    """A runtime folder of its own, with a short name."""
    folder = tmp_path_factory.mktemp("n")
    monkeypatch.setenv("SAMPAN_RUNTIME_DIR", str(folder))
    monkeypatch.setenv("SAMPAN_STATE_DIR", str(folder / "state"))
    monkeypatch.delenv("SAMPAN_NET", raising=False)
    return folder


def sampan(*words):
    """What a command prints."""
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=True).stdout


class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"a page of the host\n")

    def log_message(self, *_):
        pass


@pytest.fixture
def web():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Web) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def listening(pid):
    """The TCP ports of this host that a process listens on."""
    inodes = set()
    for each in Path(f"/proc/{pid}/fd").iterdir():
        if (found := re.fullmatch(r"socket:\[(\d+)\]", str(each.readlink()))) is not None:
            inodes.add(found[1])
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {
        int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes
    }


def test_the_whole_life_of_a_machine(run, runtime, tmp_path, web):
    """Published ports, what `sampan net` says of it, an address, walls; and nothing is left."""
    capture = tmp_path / "frames.pcapng"
    machine = run(
        SYSTEMS / "network.yml", "--ip", "192.168.65.90", "--host-access", "none", "--name", "lab",
        "--publish", "0:80", "--publish", "0:7/udp",
    )  # fmt: skip
    machine.wait_for("running, .* after boot")
    page, _ = machine.ports
    assert listening(machine.child.pid) == {page}
    assert "inet 192.168.65.90/24" in machine.run("ip -4 addr show eth0")
    assert "refused" in machine.run(f"wget -T 20 -O - http://192.168.65.254:{web}/")
    sampan("net", "capture", "--name", "lab", "-w", str(capture), "--background")
    assert b"Hello from a network" in get(page)
    assert f"127.0.0.1:{page}" in sampan("net", "ls")
    assert "192.168.65.90" in sampan("net", "leases", "--name", "lab")
    assert "lab" in sampan("net", "links")
    another = int(re.search(r":(\d+)", sampan("net", "expose", "0:80"))[1])
    assert b"Hello" in get(another)
    assert machine.terminate() == 0
    for port in (page, another):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))
    assert [path for path in runtime.rglob("*") if path.is_socket()] == []
    assert capture.stat().st_size > 1000


def test_the_smallest_example_shows_its_page(run):
    machine = run(EXAMPLES / "minimal.yml", "--publish", "0:80")
    machine.wait_for("running, .* after boot")
    [port] = machine.ports
    assert b"Hello from a small system" in get(port)
    assert machine.terminate() == 0


@pytest.fixture
def lab(runtime, tmp_path_factory):
    """A network that machines connect to: where, once it listens."""
    path = tmp_path_factory.mktemp("l") / "lab"
    reading, writing = os.pipe()
    with subprocess.Popen(
        [*COMMAND, "net", "serve", "-q", "--listen", f"qemu:{path}", "--ready-fd", str(writing)],
        pass_fds=(writing,),
    ) as child:
        os.close(writing)
        assert os.read(reading, 1) == b"1"
        os.close(reading)
        yield path
        child.terminate()


def test_machines_on_one_network(run, lab):
    """They reach each other by name and address, until one stops: then its name goes."""
    both = [
        run(SYSTEMS / "network.yml", "--networking", f"vpnkit,{lab}", "--name", name)
        for name in ("one", "two")
    ]
    addresses, names = [], []
    for machine in both:
        machine.wait_for("running, .* after boot")
        shown = machine.run("ip -4 addr show eth0; hostname")
        addresses.append(re.search(r"inet (192\.168\.65\.\d+)/24", shown)[1])
        names.append(re.search(r"\n(sampan-[0-9a-f]{12})\n", shown)[1])
    assert len(set(addresses)) == len(set(names)) == 2
    one, two = both
    assert addresses[1] in one.run(f"nslookup {names[1]}.sampan.internal")
    for name in (addresses[1], names[1]):
        assert "Hello from a network" in one.run(f"wget -q -O - http://{name}/")
    assert "1 packets received" in two.run(f"ping -c 1 {names[0]}")
    assert {*addresses} <= {*re.findall(r"192\.168\.65\.\d+", sampan("net", "leases"))}
    assert two.terminate() == 0
    assert "NXDOMAIN" in one.run(f"nslookup {names[1]}.sampan.internal")
    assert addresses[1] not in sampan("net", "leases")
    assert one.terminate() == 0


def test_the_network_that_machines_share(run, runtime):
    """Two that only say so find each other; ports and addresses are theirs to choose."""
    system = SYSTEMS / "network.yml"
    one = run(system, "-networking", "docker-for-mac", "-ip", "192.168.65.10", "--name", "db")
    two = run(system, "--networking", "shared", "--name", "web", "--publish", "0:80")
    for machine in (one, two):
        machine.wait_for("running, .* after boot")
    assert "inet 192.168.65.10/24" in one.run("ip -4 addr show eth0")
    assert "Hello from a network" in two.run("wget -q -O - http://db/")
    [port] = two.ports
    assert b"Hello from a network" in get(port)
    assert two.terminate() == one.terminate() == 0
    assert sampan("net", "ls", "--name", "shared", "--json") == ""
    sampan("net", "shutdown", "--name", "shared")
