import os
import pty
import subprocess
import sys

import pytest


def test_plain_text_until_it_ends(machines):
    machines.start("web", "say \x1b[1mhello", "button", "say bye", "poweroff")
    command = [sys.executable, "-m", "sampan", "console", "web"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True
    ) as child:
        assert child.stdout.readline() == "hello\n"
        machines.run("stop", "web")
        assert child.stdout.read() == "bye\n"
        assert child.wait(timeout=60) == 0


class Terminal:
    """`sampan console` on a terminal."""

    def __init__(self, *words):
        self.ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "sampan", "console", *words]
        self.child = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self.shown = b""

    def wait_for(self, text):
        """Read until it shows `text`."""
        while text not in self.shown:
            try:
                data = os.read(self.ours, 1000)
            except OSError:
                data = b""
            assert data, self.shown
            self.shown += data

    def type(self, keys):
        os.write(self.ours, keys)

    def close(self):
        status = self.child.wait(timeout=60)
        os.close(self.ours)
        return status


@pytest.fixture
def terminal():
    opened = []

    def open_(*words):
        opened.append(Terminal(*words))
        return opened[-1]

    yield open_
    for each in opened:
        each.child.kill()
        each.child.wait()


def test_typing_and_leaving(machines, terminal, sampan):
    machines.start("web", "say login:", "await root\r", "say welcome", "button", "poweroff")
    shown = terminal("web")
    shown.wait_for(b"the console of web; Ctrl-A d leaves")
    shown.wait_for(b"login:")
    shown.type(b"root\r\x01h")
    shown.wait_for(b"welcome")
    shown.type(b"\x01d")
    assert shown.close() == 0
    assert machines.store.record("web").status == "running"
    again = terminal("--replay", "9", "web")
    again.wait_for(b"welcome")
    again.type(b"\x01p")
    again.wait_for(b"web has ended")
    assert again.close() == 0


def test_ending_it(machines, terminal):
    machines.start("web", "say up", "hang")
    shown = terminal("web")
    shown.wait_for(b"up")
    shown.type(b"\x01x")
    shown.wait_for(b"web has ended")
    assert shown.close() == 0
    assert machines.store.record("web").run.ended.ending == "forced"


def test_one_that_only_looks_on(machines, terminal):
    machines.start("web", "say up", "await root\r", "say no")
    shown = terminal("--read-only", "web")
    shown.wait_for(b"up")
    shown.type(b"root\r\x01d")
    assert shown.close() == 0
    assert b"no" not in shown.shown.partition(b"up")[2]


def test_one_that_does_not_run(machines, sampan):
    machines.start("web", "hang")
    sampan("kill", "web")
    assert sampan("console", "web").err.startswith("sampan: web is stopped")
