"""Programs that everybody uses, in a namespace on the network; their servers are on the host."""

import hashlib
import http.server
import json
import re
import socket
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.compat
HOST, GATEWAY = "192.168.65.254", "192.168.65.1"
HOST6, GATEWAY6 = "fdc0:a841:6500::fe", "fdc0:a841:6500::1"
MB = 1 << 20
PIECE = hashlib.shake_256(b"piece").digest(MB)


class _Web(http.server.BaseHTTPRequestHandler):
    """GET /N gives N MiB; PUT answers with the digest of what came."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        count = int(self.path[1:])
        self.send_response(200)
        self.send_header("Content-Length", str(count * MB))
        self.end_headers()
        for _ in range(count):
            self.wfile.write(PIECE)

    def do_PUT(self):
        found, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left and (data := self.rfile.read(min(left, MB))):
            found.update(data)
            left -= len(data)
        answer = found.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 256

    def handle_error(self, *_):
        """Clients that end amid an answer are none."""


class _Server6(_Server):
    address_family = int(socket.AF_INET6)


@pytest.fixture(params=[4, 6], ids=["IPv4", "IPv6"])
def web(request, machine):
    """The address of a web server of the host, as the machine sees it."""
    six = request.param == 6
    if six:
        machine.ip("address add fdc0:a841:6500::77/64 dev tap0 nodad")
    kind, address, host = (_Server6, "::1", f"[{HOST6}]") if six else (_Server, "127.0.0.1", HOST)
    with kind((address, 0), _Web) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://{host}:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("address", [GATEWAY, HOST, GATEWAY6])
@pytest.mark.parametrize("size", [56, 1472, 4000])
def test_ping_us(machine, address, size):
    machine.ip("address add fdc0:a841:6500::77/64 dev tap0 nodad")
    said = machine.run(["ping", "-c", "3", "-i", "0.05", "-W", "60", "-s", size, address]).stdout
    assert "3 received, 0% packet loss" in said
    assert "DUP" not in said


def test_ping_outside(machine):
    """By the host's sockets, or honestly refused where the host allows none."""
    with socket.socket(type=socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError as error:
            pytest.skip(f"this host has no address but its loopback's: {error.strerror}")
        outside = probe.getsockname()[0]
    said = machine.run(["ping", "-c", "2", "-i", "0.05", "-W", "60", outside], check=False).stdout
    if _may_ping():
        assert "2 received, 0% packet loss" in said
    else:
        assert "Packet filtered" in said


def _may_ping():
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        with suppress(PermissionError):
            socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP).close()
            return True
    return False


def test_curl_loads_much(web, machine):
    done = machine.run(["sh", "-c", f"curl -sf {web}/64 | sha256sum"], timeout_s=60)
    assert done.stdout.split()[0] == hashlib.sha256(PIECE * 64).hexdigest()


def test_curl_sends_much(web, machine, tmp_path):
    (tmp_path / "data").write_bytes(PIECE * 64)
    said = machine.run(["curl", "-sf", "-T", tmp_path / "data", f"{web}/"], timeout_s=60).stdout
    assert said == hashlib.sha256(PIECE * 64).hexdigest()


def test_curl_loads_in_parallel(web, machine, tmp_path):
    wanted = [word for n in range(16) for word in (f"{web}/{n % 3}", "-o", tmp_path / f"f{n}")]
    machine.run(["curl", "-sf", "--parallel", "--parallel-immediate", *wanted], timeout_s=60)
    for n in range(16):
        assert (tmp_path / f"f{n}").read_bytes() == PIECE * (n % 3)


def test_curl_is_refused_at_once(machine):
    done = machine.run(["curl", "-s", "-w", "%{time_total}", f"http://{HOST}:9/"], check=False)
    assert done.returncode == 7  # CURLE_COULDNT_CONNECT
    assert float(done.stdout) < 60  # the kernel goes on asking for longer than that


def test_wrk_loads_hard(web, machine, virtual_network):
    said = machine.run(["wrk", "-t1", "-c64", "-d2s", "--timeout", "60s", f"{web}/0"]).stdout
    assert int(re.search(r"(\d+) requests in", said)[1]) > 0
    assert "Socket errors" not in said
    virtual_network.settled()


def test_nc_ends_either_side_first(machine, host_server):
    heard = []

    def last_word(connection):
        while data := connection.recv(1000):
            heard.append(data)
        connection.sendall(b"goodbye")

    port = host_server(last_word)
    said = machine.run(["nc", "-N", HOST, port], input="hello", stdin=None).stdout
    assert (b"".join(heard), said) == (b"hello", "goodbye")


def test_nc_in_the_machine_serves_through_udp(machine, background):
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(60)
        child = background(
            machine, ["nc", "-u", HOST, str(server.getsockname()[1])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        child.stdin.write(b"ask")
        child.stdin.flush()
        data, sender = server.recvfrom(100)
        assert data == b"ask"
        server.sendto(b"answer", sender)
        assert child.stdout.read(6) == b"answer"


@pytest.fixture
def iperf(machine):
    """Runs iperf3 in the machine against one on the host; gives its report."""
    server, port = _iperf_server()

    def run(*options):
        said = machine.run(
            ["iperf3", "-J", "-c", HOST, "-p", port, "-t", "1", *options], check=False
        ).stdout
        report = json.loads(said)
        assert "error" not in report, report["error"]
        return report["end"]

    with server:
        yield run
        server.terminate()


def _iperf_server():
    """A server of iperf3, and its port; another is tried if somebody took the first."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        argv = ["iperf3", "-s", "-1", "-B", "127.0.0.1", "-p", str(port)]
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # to connect would be taken for its client
        listening = f"0100007F:{port:04X} 00000000:0000 0A"
        while server.poll() is None:
            if listening in Path("/proc/net/tcp").read_text():
                return server, str(port)
            time.sleep(0.01)


@pytest.mark.parametrize("options", [[], ["-R"], ["-P4"], ["-P4", "-R"], ["--bidir"]], ids=" ".join)
def test_iperf3(iperf, options):
    end = iperf(*options)
    assert end["sum_received"]["bytes"] > MB


@pytest.mark.parametrize("options", [[], ["-R"]], ids=["up", "down"])
def test_iperf3_by_udp(iperf, options):
    """So few that buffers of sockets hold many of them if their readers do not get to run."""
    sent = iperf("-u", "-b", "2M", "-l", "1400", *options)["sum"]
    assert sent["packets"] > 10
    assert sent["lost_percent"] < 50
