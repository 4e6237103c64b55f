import asyncio

import pytest

from sampan.errors import UnsupportedError
from sampan.machine.drivers import qemu_publish
from sampan.machine.error import MachineError
from sampan.machine.forward import Forward
from sampan.machine.port import PortError

HEAD = "Hub -1 (net0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port\r\n"
ROW = "  TCP[HOST_FORWARD]  12       127.0.0.1 {} 10.0.2.15 {}     0     0\r\n"


class Monitor:
    """Answers as QEMU 7.2 does, with ports of TCP on 127.0.0.1."""

    def __init__(self, *rows, refuses=False, deaf=False):
        self.rows = list(rows)
        self.refuses = refuses
        self.deaf = deaf
        self.lines = []

    async def execute(self, command, arguments):
        assert command == "human-monitor-command"
        line = arguments["command-line"]
        self.lines.append(line)
        verb, *words = line.split()
        if verb == "info":
            return HEAD + "".join(ROW.format(*row) for row in self.rows)
        if verb == "hostfwd_remove":
            number = int(words[1].rpartition(":")[2])
            left = [row for row in self.rows if row[0] != number]
            done, self.rows = "removed" if left != self.rows else "not found", left
            return f"host forwarding rule for {words[1]} {done}\r\n"
        if self.refuses:
            return f"Could not set up host forwarding rule '{words[1]}'\r\n"
        _, _, host, guest = words[1].replace("-:", ":").split(":")
        if not self.deaf:
            self.rows.insert(0, (int(host) or 41000 + len(self.rows), int(guest)))
        return ""


def expose(monitor, text):
    return asyncio.run(qemu_publish.expose(monitor.execute, Forward.parse(text)))


def unexpose(monitor, text):
    asyncio.run(qemu_publish.unexpose(monitor.execute, Forward.parse(text)))


def test_any_port_becomes_the_one_that_was_not_there_before():
    monitor = Monitor((40001, 80), (40002, 80))
    assert expose(monitor, "0:80") == Forward.parse("41002:80")
    assert expose(monitor, "8080:80") == Forward.parse("8080:80")
    assert monitor.lines[1] == "hostfwd_add net0 tcp:127.0.0.1:0-:80"


def test_a_port_goes():
    monitor = Monitor((8080, 80), (8081, 80))
    unexpose(monitor, "8080:80")
    assert monitor.lines == ["hostfwd_remove net0 tcp:127.0.0.1:8080"]
    assert monitor.rows == [(8081, 80)]
    with pytest.raises(PortError, match=r"8080:80/tcp is not published any more: .* not found$"):
        unexpose(monitor, "8080:80")


def test_a_refusal_names_the_port():
    with pytest.raises(PortError, match="host port 8080/tcp cannot be published: Could not set"):
        expose(Monitor(refuses=True), "8080:80")


def test_a_port_that_is_not_there_after_all():
    with pytest.raises(MachineError, match="QEMU does not listen for the published port"):
        expose(Monitor((40001, 80), deaf=True), "0:80")


def test_ipv6_is_not_asked_for():
    monitor = Monitor()
    with pytest.raises(UnsupportedError, match="IPv4 addresses only"):
        expose(monitor, "[::1]:0:80")
    assert monitor.lines == []
