"""vsudd's command line; what it does with connections is in test_relay.py."""

import os
import socket
from typing import Any

import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import vsudd
from sampan.guest.tool.relay import Relay


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("2374:unix:/run/c.sock", 2374),
        ("0x946:unix:/run/c.sock", 2374),
        ("00000946-facb-11e6-bd58-64006a7986d3:unix:/run/c.sock", 2374),
    ],
)
def test_ports(text, port):
    assert vsudd.parse_inport(text) == (port, "/run/c.sock")


@pytest.mark.parametrize("text", ["2374:tcp:/x", "x:unix:/x", "1:unix:x", "1"])
def test_what_is_no_port(text):
    with pytest.raises(AgentError, match="PORT:unix:/PATH"):
        vsudd.parse_inport(text)


class TestMain:
    @pytest.fixture
    def relays(self, monkeypatch):
        """What would have been served."""
        found = list[Any]()

        class Recorder(Relay):
            def serve(self, listener, family, address):
                assert family == socket.AF_UNIX
                found.append((listener, address))

            def run(self):
                found.append("ran")

        monkeypatch.setattr(vsudd, "Relay", Recorder)
        monkeypatch.setattr(vsudd, "_listen", lambda port: port)
        return found

    def test_all_options(self, relays, tmp_path):
        words = ["-inport", "7:unix:/a", "--inport=8:unix:/b", "-syslog", "-pidfile"]
        assert vsudd.main([*words, str(tmp_path / "pid")]) == 0
        assert relays == [(7, "/a"), (8, "/b"), "ran"]
        assert (tmp_path / "pid").read_text() == f"{os.getpid()}\n"

    def test_in_the_background(self, relays, monkeypatch):
        monkeypatch.setattr(os, "fork", lambda: 5)
        assert vsudd.main(["-inport", "7:unix:/a", "-detach"]) == 0
        assert "ran" not in relays

    @pytest.mark.parametrize(
        "words", [[], ["-inport"], ["-inport", "7:unix:/a", "more"], ["-outport", "7"]]
    )
    def test_what_makes_no_sense(self, relays, words):
        with pytest.raises(AgentError):
            vsudd.main(words)
        assert "ran" not in relays


class TestListening:
    class Socket:
        def __init__(self, family, kind):
            assert family == socket.AF_VSOCK

        def bind(self, address):
            if address[1] == 1:
                raise OSError(98, "Address already in use")
            self.address = address

        def listen(self, backlog):
            self.backlog = backlog

        def close(self):
            self.address = None

    def test_it_listens(self, monkeypatch):
        monkeypatch.setattr(socket, "socket", self.Socket)
        listening: Any = vsudd._listen(7)
        assert listening.address == (0xFFFFFFFF, 7)

    def test_a_port_that_is_taken(self, monkeypatch):
        monkeypatch.setattr(socket, "socket", self.Socket)
        with pytest.raises(AgentError, match="port 1: Address already in use"):
            vsudd._listen(1)

    def test_a_machine_without_vsock(self, monkeypatch):
        monkeypatch.setattr(socket, "AF_VSOCK", 255)
        monkeypatch.setattr(socket, "AF_VSOCK", 255)
        monkeypatch.setattr(
            self.Socket, "__init__", lambda *_: (_ for _ in ()).throw(OSError(97, "no"))
        )
        with pytest.raises(AgentError, match="this machine has no vsock"):
            vsudd._listen(7)
