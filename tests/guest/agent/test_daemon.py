"""The daemon with real processes and sockets, and an engine that starts `sh` instead of containers."""

import os
import socket
import threading

import pytest

from sampan.guest.agent import bundle, control, daemon, engine, log, process
from sampan.guest.agent.fault import AgentError


class ShellEngine:
    """Services are shell commands: the bundle's `args`."""

    def __init__(self):
        self.starts = []

    def start(self, loaded):
        self.starts.append(loaded.name)
        args = loaded.config.raw["process"]["args"]
        if args == ["absent"]:
            raise AgentError("cannot be started")
        pid = process.start(["/bin/sh", "-c", *args], stdout=2)
        if args == ["exit 9"]:  # as with containerd: somebody else's child, that is gone
            process.wait(pid)
        return pid

    def collect(self, loaded, pid):
        return 9 if loaded.name == "gone" else process.wait(pid)

    def adopt(self, loaded):
        return None


@pytest.fixture
def system(monkeypatch, tmp_path, make_bundle):
    """Starts a daemon in a child process; yields (start, ask)."""
    socket_path = str(tmp_path / "s.sock")
    monkeypatch.setattr(daemon, "_MARK", str(tmp_path / "mark"))
    monkeypatch.setattr(engine, "LOGS", str(tmp_path / "log"))
    children = []

    def start(**commands):
        services = []
        for name, (restart, command) in commands.items():
            annotations = {"dev.sampan.restart": restart}
            path = make_bundle(name, section="services", annotations=annotations, args=[command])
            services.append(bundle.load(path))
        server = control.listen(socket_path)
        pid = os.fork()
        if pid == 0:
            try:
                running = daemon.Daemon(services, server)
                monkeypatch.setattr(running, "_choose_engine", ShellEngine)
                running.run()
            finally:
                os._exit(1)
        server.close()
        children.append(pid)

    yield start, lambda request: control.ask(request, socket_path)
    for pid in children:
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def rows(table):
    return {line.split()[0]: line.split()[1:] for line in table.splitlines()[1:]}


def test_services_start_and_stop(system):
    start, ask = system
    start(web=("on-failure", "exec sleep 60"), done=("on-failure", "exit 0"))
    assert rows(ask("list"))["web"][0] == "running"
    stopped = rows(ask("stop web"))["web"]
    assert stopped[0] == "down"
    assert "SIGTERM" in stopped[-1]
    again = rows(ask("start web"))["web"]
    assert again[0] == "running"
    assert again[1] != stopped[1]
    assert rows(ask("restart web"))["web"][0] == "running"


def test_a_failing_service_starts_again(system, capfd):
    start, ask = system
    start(bad=("on-failure", "exit 5"))
    ask("list")
    while rows(ask("list"))["bad"][3] == "0":
        threading.Event().wait(0.05)
    assert "service bad ended with status 5; starting again in 0.5 s" in capfd.readouterr().out


def test_what_cannot_start_is_told(system, capfd):
    start, ask = system
    start(odd=("no", "absent"))
    assert "cannot be started" in ask("list")
    out = capfd.readouterr().out
    assert "sampan: service odd cannot start: cannot be started\n" in out
    assert "sampan: 0 of 1 services running" in out


def test_a_process_may_be_gone_before_it_is_watched(system):
    start, ask = system
    start(gone=("no", "exit 9"))
    assert rows(ask("list"))["gone"] == ["down", "-", "-", "0", "ended", "with", "status", "9"]


def test_refusals_come_back(system):
    start, ask = system
    start(web=("no", "exec sleep 60"))
    with pytest.raises(AgentError, match="no service 'x'"):
        ask("stop x")
    with pytest.raises(AgentError, match="say one of"):
        ask("dance")


class Flaky(socket.socket):
    """Its first client is gone when it is to be taken."""

    takes = False

    def accept(self):
        if not self.takes:
            self.takes = True
            raise ConnectionAbortedError
        return super().accept()


def test_a_client_that_changes_its_mind(system, monkeypatch):
    listen = control.listen
    monkeypatch.setattr(control, "listen", lambda path: Flaky(fileno=listen(path).detach()))
    start, ask = system
    start(web=("no", "exec sleep 60"))
    assert "web" in rows(ask("list"))


def test_stop_all(system):
    start, ask = system
    start(a=("always", "exec sleep 60"), b=("always", "exec sleep 60"))
    assert {row[0] for row in rows(ask("stop-all")).values()} == {"down"}


def test_logs_are_bounded(system, tmp_path):
    start, ask = system
    folder = tmp_path / "log"
    folder.mkdir()
    (folder / "web.log").write_bytes(b"x\n" * log.LIMIT)
    start(web=("no", "exec sleep 60"))
    while not (folder / "web.log.1").exists():
        ask("list")
    assert (folder / "web.log").stat().st_size == 0
