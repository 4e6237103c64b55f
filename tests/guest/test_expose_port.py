"""A guest that opens a port of the host for itself: VPNKit's port control, through vsock."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
EXAMPLE = Path(__file__).parents[2] / "examples" / "systems" / "forwarder.yml"
END_S = 300


@pytest.fixture(scope="module")
def port():
    with socket.create_server(("127.0.0.1", 0)) as found:
        return found.getsockname()[1]


@pytest.fixture(scope="module")
def place(built, tmp_path_factory, port):
    """A folder with the example, built; it asks for a port that is free here."""
    made = tmp_path_factory.mktemp("forwarder")
    source = made / "forwarder.yml"
    source.write_text(EXAMPLE.read_text().replace('"8080"', f'"{port}"'))
    prefix = built(source)
    for end in ("kernel", "initrd.img", "cmdline"):
        (made / f"forwarder-{end}").symlink_to(f"{prefix}-{end}")
    return made


@pytest.fixture(scope="module")
def environment(place):
    kept = {name: value for name, value in os.environ.items() if name != "SAMPAN_RUNTIME_DIR"}
    return {**kept, "SAMPAN_STATE_DIR": str(place / "machines"), "XDG_RUNTIME_DIR": str(place)}


@pytest.fixture(scope="module")
def running(place, environment):
    """`sampan run -guest-forwards loopback forwarder`."""
    words = ["run", "-guest-forwards", "loopback", "-mem", "160", "forwarder"]
    with subprocess.Popen(
        [sys.executable, "-m", "sampan", *words], env=environment, cwd=place,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    ) as child:  # fmt: skip
        shown = b""
        while not re.search(rb"running, .* after boot", shown):
            line = child.stdout.readline()
            assert line, shown.decode(errors="replace")
            shown += line
        yield child
        child.kill()


def page(port):
    """What the machine's web server says."""
    with socket.create_connection(("127.0.0.1", port), timeout=END_S) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        said = b""
        while part := client.recv(65536):
            said += part
    return said


def test_the_page(running, port):
    """Services begin together: who asks for the port may come last, or before the server."""
    deadline = time.monotonic() + END_S
    said = b""
    while not said.endswith(b"<h1>Hello from inside</h1>\n"):
        assert time.monotonic() < deadline, said
        try:
            said = page(port)
        except (ConnectionRefusedError, ConnectionResetError):
            time.sleep(0.2)


def test_it_is_one_of_the_networks_forwards(running, environment, port):
    words = [sys.executable, "-m", "sampan", "--json", "net", "ls"]
    listed = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    assert f'"port":{port}' in re.sub(r"\s", "", listed.stdout), listed.stdout
    assert json.loads(listed.stdout.splitlines()[0])


def test_it_goes_with_the_machine(running, port):
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=END_S)
    assert running.returncode == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
