import json
import socket
from contextlib import suppress

import pytest

from sampan.cli.net import forward
from sampan.errors import UsageError
from sampan.net.runtime.control.model import Place
from sampan.net.services.forward import Forward, Protocol


@pytest.fixture
def free():
    """A port that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_expose_list_and_unexpose(sampan, network, free):
    said = sampan("net", "expose", f"{free}:web:80")
    assert (said.status, said.err) == (0, "")
    assert said.out == (
        f"LISTENS          PROTOCOL  LEADS TO\n127.0.0.1:{free}  tcp       web port 80\n"
    )
    with suppress(ConnectionResetError):  # there is no machine; refused it would be by nobody
        socket.create_connection(("127.0.0.1", free), timeout=60).close()
    assert sampan("net", "ls").out == said.out
    assert sampan("net", "unexpose", free) == (0, "", "")
    assert sampan("net", "ls", "--json") == (0, "", "")


def test_any_free_port(sampan, network):
    said = sampan("net", "expose", "--json", "[::1]:0:[fdc0:a841:6500::3]:80/udp")
    made = json.loads(said.out)
    assert made["port"] > 0
    assert made["protocol"] == "udp"
    assert f"[::1]:{made['port']}" in sampan("net", "ls").out


def test_all_or_nothing(sampan, network, free):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = sampan("net", "expose", f"{free}:80", f"{port}:81")
    assert said.status == 1
    assert f"port {port}/tcp of 127.0.0.1 is taken by" in said.err
    assert "hint: choose another port" in said.err
    assert network.network.forwards() == ()


def test_what_is_not_there(sampan, network):
    said = sampan("net", "unexpose", "1")
    assert (said.status, said.err.splitlines()[0]) == (
        1, "sampan: port 1/tcp of 127.0.0.1 is not forwarded",
    )  # fmt: skip


def test_quiet(sampan, network):
    assert sampan("net", "expose", "-q", "0:80") == (0, "", "")


def test_nobody_runs(sampan, runtime):
    said = sampan("net", "ls")
    assert said.status == 1
    assert said.err == (
        f"sampan: no network answers at {runtime}/net/default.sock\n"
        "  hint: start one with sampan net serve, or name it: --name, --control\n"
    )


def test_errors_are_objects_with_json(sampan, network):
    said = sampan("net", "unexpose", "--json", "1")
    assert said.error["code"] == 1


def test_paths_become_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = Forward(path=str(tmp_path / "a"), guest_port=80)
    assert forward.parse(("./a:80",)) == (wanted,)
    assert forward.parse_place("./a") == Place(path=str(tmp_path / "a"))
    assert forward.parse_place("unix:/a") == Place(path="/a")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("8080", Place(port=8080)),
        ("0.0.0.0:53/udp", Place(bind="0.0.0.0", port=53, protocol=Protocol.UDP)),
        ("[::1]:8080/tcp", Place(bind="::1", port=8080)),
    ],
)
def test_places(text, place):
    assert forward.parse_place(text) == place


@pytest.mark.parametrize("text", ["", "web", "80/icmp", "8080:80:", "[::1]", ":80", "123456"])
def test_what_is_no_place(text):
    with pytest.raises(UsageError, match="no place where a forward listens"):
        forward.parse_place(text)
