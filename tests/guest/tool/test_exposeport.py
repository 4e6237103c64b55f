"""vpnkit-expose-port on the host: a Unix socket stands for the host's vsock port."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import exposeport
from sampan.guest.tool.exposeport import Control, Parent

WEB = ["-proto", "tcp", "-host-ip", "127.0.0.1", "-container-ip", "127.0.0.1"]
ASKED = {
    "proto": "tcp", "out_ip": "127.0.0.1", "out_port": 8080, "in_ip": "127.0.0.1", "in_port": 80
}  # fmt: skip
PROGRAM = """
import os, sys
from sampan.guest.tool.main import main
os.dup2(int(sys.argv[1]), 3)
os.close(int(sys.argv[1]))
sys.exit(main(["vpnkit-expose-port", *sys.argv[2:]]))
"""
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 27\r\n\r\n" + b'{"message":"port is taken"}'


class Host:
    """Hears what is asked; `answers` are what it says, in order, and then yes."""

    def __init__(self, path):
        self.path = str(path)
        self.answers = []
        self.asked = []
        self.changed = threading.Condition()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(8)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self):
        while True:
            stream, _ = self._listener.accept()
            with stream, stream.makefile("rb") as reader:
                line = reader.readline().decode().split()
                if not line:
                    return
                head = {}
                while (each := reader.readline().strip()) != b"":
                    name, _, value = each.decode().partition(": ")
                    head[name] = value
                body = json.loads(reader.read(int(head["Content-Length"])))
                with self.changed:
                    self.asked.append((line[0], line[1], body))
                    self.changed.notify()
                with suppress(BrokenPipeError):  # it was ended before it could hear
                    stream.sendall(self.answers.pop(0) if self.answers else OK)

    def wait(self, count):
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.asked) >= count, 60)

    def close(self):
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self.path)
        self._thread.join(60)
        self._listener.close()


@pytest.fixture(autouse=True)
def no_parent(monkeypatch):
    """The descriptor is another's here: that of the process that has the tests run."""
    monkeypatch.setattr(exposeport, "_PARENT_FD", -1)


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path / "control")
    yield made
    made.close()


@pytest.fixture
def start(host):
    """Starts the program, as Docker does, with a pipe that it is told through."""
    children = []

    def start(*words, control=None):
        ours, theirs = os.pipe()
        child = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(theirs), *words, "-control", control or host.path],
            pass_fds=[theirs], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        os.close(theirs)
        children.append(child)
        return child, os.fdopen(ours, "rb")

    yield start
    for child in children:
        child.kill()
        child.communicate()


def test_from_beginning_to_end(host, start):
    child, parent = start(
        *WEB, "-host-port", "8080", "-container-port", "80", "-local-bind", "never"
    )
    with parent:
        assert parent.read() == b"0\n"
    assert host.asked == [("PUT", "/forwards/expose/port", ASKED)]
    child.send_signal(signal.SIGTERM)
    assert child.wait(60) == 0
    assert host.asked[1:] == [("DELETE", "/forwards/unexpose/port", ASKED)]


def test_refused(host, start):
    host.answers = [REFUSED]
    child, parent = start(*WEB, "-host-port", "8080", "-container-port", "80", "-no-local-ip")
    with parent:
        assert parent.read() == b"1\nport is taken"
    assert child.wait(60) == 1
    assert "vpnkit-expose-port: port is taken" in child.stderr.read()


def test_nobody_to_ask(tmp_path, start):
    words = [*WEB, "-host-port", "8080", "-container-port", "80", "-local-bind", "never"]
    child, parent = start(*words, control=str(tmp_path / "nobody"))
    with parent:
        assert b"with --guest-forwards?" in parent.read()
    assert child.wait(60) == 1


def test_in_this_machine_too(host, start):
    """A port of this machine leads to the server as well, until the program ends."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor() as crew:
        server.settimeout(60)
        with socket.socket() as bound:
            bound.bind(("127.0.0.2", 0))
            number = str(bound.getsockname()[1])
        words = [
            "-host-ip", "127.0.0.2", "-host-port", number, "-container-port",
            str(server.getsockname()[1]), "-local-bind", "always",
        ]  # fmt: skip
        child, parent = start(*words)
        with parent:
            assert parent.read() == b"0\n"
        answer = crew.submit(server.accept)
        with socket.create_connection(("127.0.0.2", int(number)), timeout=60) as client:
            connection, _ = answer.result()
            with connection:
                client.sendall(b"ask")
                assert connection.recv(10) == b"ask"
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 0


@pytest.mark.parametrize(("wanted", "status"), [("always", 1), ("best-effort", 0)])
def test_the_port_of_this_machine_is_taken(host, start, wanted, status):
    with socket.create_server(("127.0.0.2", 0)) as taken:
        number = str(taken.getsockname()[1])
        words = ["-host-ip", "127.0.0.2", "-host-port", number, "-container-port", "80"]
        child, parent = start(*words, "-local-bind", wanted, "-i")
        parent.close()
        if status == 0:
            host.wait(1)
            child.send_signal(signal.SIGTERM)
        assert child.wait(60) == status, child.stderr.read()
    assert len(host.asked) == (2 if status == 0 else 0)


def test_sockets(host):
    exposeport.Control(host.path).ask(
        "PUT", "expose", {"proto": "unix", "out_path": "/a", "in_path": "/b"}
    )
    assert host.asked == [
        ("PUT", "/forwards/expose/pipe", {"proto": "unix", "out_path": "/a", "in_path": "/b"})
    ]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["-proto", "sctp"], "tcp, udp or unix"),
        (["-proto", "unix"], "-host-path and -container-path"),
        (["-host-port", "0", "-container-port", "80"], "-host-port 0"),
        (["-host-port", "80", "-container-port", "99999"], "-container-port 99999"),
        (["-host-port", "80", "-container-port", "x"], "-container-port x"),
        (["-host-port", "80", "-container-port", "80", "-local-bind", "no"], "-local-bind no"),
        (["-host-port", "80", "more"], "what is"),
        (["more"], "what is more"),
    ],
)
def test_what_makes_no_sense(words, why):
    with pytest.raises(AgentError, match=why):
        exposeport.main([*words, "-i"])


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "answers nothing"),
        (b"HTTP/1.1 404 Not Found\r\n\r\nno", "answers 404"),
        (b"HTTP/1.1 400 Bad\r\n\r\n[]", "answers 400"),
        (REFUSED, "port is taken"),
        (b"SSH-2.0-x\r\n", "answers nothing"),
    ],
)
def test_what_is_not_a_yes(answer, why):
    with pytest.raises(AgentError, match=why):
        exposeport._check(answer)


def test_who_is_told(monkeypatch, capsys):
    monkeypatch.setattr(exposeport, "_is_pipe", lambda fd: False)
    parent = Parent(is_interactive=False)
    parent.tell(None, "8080")
    parent.tell(AgentError("no"), "")  # the program says that as it ends
    assert capsys.readouterr().out == "vpnkit-expose-port: 8080 is open\n"


def test_vsock_is_asked_by_number(monkeypatch):
    def no_vsock(family):
        assert family == socket.AF_VSOCK
        raise OSError(97, "Address family not supported by protocol")

    monkeypatch.setattr("sampan.guest.tool.exposeport.socket.socket", no_vsock)
    with pytest.raises(AgentError, match="asked at 4098: Address family"):
        Control("4098").ask("PUT", "expose", {"proto": "tcp"})
