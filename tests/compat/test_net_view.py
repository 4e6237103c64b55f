"""What is seen of real programs' traffic, and hooks that interfere with it: curl and dig."""

import json
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from sampan.net.hook import (
    Delay,
    Refuse,
    Resolve,
    Respond,
    Rewrite,
    on_dns,
    on_flow,
    on_http_request,
)
from sampan.net.runtime.view import policyfile
from sampan.net.runtime.view.capture import Capture, Options
from sampan.net.runtime.view.sink import FileSink

pytestmark = pytest.mark.compat
HOST, OUTSIDE = "192.168.65.254", "203.0.113.7"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str, dict[str, str]]] = []  # noqa: RUF012  one server for each test

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers)))  # type: ignore[attr-defined]
        body = b"x" * 100_000 if self.path == "/large" else b"hello"
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"5\r\nhello\r\n0\r\n\r\n")
        else:
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def do_POST(self):
        self.do_GET()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def web():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.seen = []  # type: ignore[attr-defined]
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def curl(machine, web):
    def run(*arguments, path="/", host=HOST, check=True):
        url = f"http://{host}:{web.server_port}{path}"
        return machine.run(["curl", "-sS", "--noproxy", "*", *arguments, url], check=check)

    return run


@pytest.fixture
def hook(virtual_network):
    """Puts hooks in front of the network's machines."""

    def add(*hooks):
        for each in hooks:
            virtual_network.call(lambda assembly, each=each: assembly.hooks.add(each))

    return add


def test_an_archive_of_what_curl_does(new_network, web, tmp_path, wait_until):
    path = tmp_path / "x.har"
    network = new_network(har_file=path)
    machine = network.machine()
    base = f"http://{HOST}:{web.server_port}"
    machine.run(
        ["curl", "-sS", "--noproxy", "*", "-H", "Authorization: secret", f"{base}/large",
         f"{base}/chunks", "-o", "/dev/null", "-o", "/dev/null"]
    )  # fmt: skip
    machine.run(["curl", "-sS", "--noproxy", "*", "-d", "a=b" * 9, f"{base}/form?x=y"])

    def entries():
        return json.loads(path.read_bytes())["log"]["entries"]

    wait_until(lambda: len(entries()) == 3, "3 entries")
    assert b"secret" not in path.read_bytes()
    large, chunks, form = entries()
    assert large["request"]["url"] == f"{base}/large"
    assert large["response"]["content"] == {"size": 100_000, "mimeType": "text/plain"}
    assert large["connection"] == chunks["connection"] != form["connection"]
    assert (chunks["response"]["bodySize"], form["request"]["bodySize"]) == (5, 27)
    assert form["request"]["queryString"] == [{"name": "x", "value": "y"}]
    assert all(each["comment"] == "" for each in entries())


def test_hooks_for_requests(curl, hook, web):
    @on_http_request
    def change(request):
        if request.target == "/bad":
            return Refuse("not that")
        if request.target == "/mine":
            return Respond(201, b"mine", (("X-By", "hook"),))
        return Rewrite(request.replace(target="/new").with_header("X-New", request.flow.machine))

    hook(change)
    done = curl("-w", "%{http_code}", path="/bad")
    assert done.stdout == "not that\n403"
    assert curl("-i", path="/mine").stdout.endswith("mine")
    assert curl("-d", "x" * 50_000, path="/mine").stdout == "mine"
    assert curl(path="/old").stdout == "hello"
    [(_, path, headers)] = web.seen
    assert (path, headers["X-New"]) == ("/new", "192.168.65.202")


def test_hooks_for_connections(curl, hook, web):
    @on_flow
    def lead(info):
        if info.address == OUTSIDE:
            return Rewrite(info.replace(address=HOST))
        return Refuse() if info.address == HOST else Delay(0.1)

    hook(lead)
    assert curl(host=OUTSIDE).stdout == "hello"
    assert curl(check=False).returncode == 7  # CURLE_COULDNT_CONNECT, and at once


def test_hooks_for_names(machine, hook):
    @on_dns
    def answer(query):
        if query.name == "no.example":
            return Refuse()
        return Resolve((OUTSIDE,)) if query.name == "a.example" else None

    hook(answer)
    dig = ["dig", "@192.168.65.1", "+tries=1", "+time=60"]
    assert machine.run([*dig, "+short", "a.example"]).stdout.split() == [OUTSIDE]
    assert "status: REFUSED" in machine.run([*dig, "no.example"]).stdout


def test_a_policy_refuses(virtual_network, curl, web):
    policy = policyfile.parse(f"rules: [{{deny: {OUTSIDE}, name: far}}]", "f")
    virtual_network.call(lambda assembly: setattr(assembly.egress, "policy", policy))
    assert curl().stdout == "hello"
    assert curl(host=OUTSIDE, check=False).returncode == 7
    over = virtual_network.call(lambda assembly: assembly.flow_table.over())
    assert [each.verdict for each in over if each.peer == OUTSIDE] == ["policy: denied by far"]


def test_what_a_flow_is(virtual_network, machine, echo_port):
    with machine.connect(HOST, echo_port) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        [record] = virtual_network.call(lambda assembly: assembly.flow_table.records())
        assert (record.sent, record.received, record.state) == (5, 5, "established")
        assert (record.kind, record.peer, record.peer_port) == ("tcp", HOST, echo_port)
        assert record.link == "machine2"


def test_wireshark_reads_what_was_captured(virtual_network, curl, tmp_path):
    path = tmp_path / "x.pcapng"
    capture = Capture(FileSink(path), Options(filter="tcp"), lambda: 10**18)
    virtual_network.call(lambda assembly: assembly.engine.watch_frames(capture.seen))
    assert len(curl(path="/large").stdout) == 100_000
    virtual_network.settled()
    virtual_network.call(lambda assembly: assembly.engine.unwatch_frames(capture.seen))
    capture.close()
    command = ["tshark", "-n", "-r", path, "-o", "tcp.check_checksum:TRUE", "-T", "fields"]
    fields = ["-e", "http.request.uri", "-e", "http.content_length", "-e", "tcp.checksum.status"]
    try:
        done = subprocess.run([*command, *fields], capture_output=True, text=True, check=True)
    except FileNotFoundError:
        pytest.skip("tshark is not installed: tools/host-packages test")
    rows = [row.split("\t") for row in done.stdout.splitlines()]
    assert {"/large"} <= {row[0] for row in rows}
    assert "100000" in {row[1] for row in rows}
    assert {row[2] for row in rows} == {"1"}  # every checksum is right
