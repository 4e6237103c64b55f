import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

STEPS = ("say up", "button", "poweroff")


@pytest.fixture
def stopped(machines, sampan):
    """Starts a machine with these flags, and stops it."""

    def made(name, *flags, steps=STEPS):
        record = machines.start(name, *steps, flags=flags)
        assert sampan("stop", name).status == 0
        assert machines.store.wait_ended(record, 60)
        return machines.store.record(record.name)

    return made


def test_a_machine_as_it_was_run(stopped, machines, tmp_path, monkeypatch):
    flags = (
        "--cpus", "2", "--mem", "512", "--publish", "0:80", "--disk", "size=1M,format=raw",
        "--data", "text", "--device", "edu", "--stop-timeout", "7", "--console-file",
    )  # fmt: skip
    before = stopped("web", *flags)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setattr(machines, "folder", tmp_path / "elsewhere")
    done = machines.run("start", "web")
    assert (done.returncode, done.stdout) == (0, "web\n")
    assert done.stderr.splitlines() == [
        "sampan: web starts on tcg", "sampan: 127.0.0.1:40080/tcp is port 80 of the guest",
    ]  # fmt: skip
    record = machines.store.record("web")
    assert (record.status, record.made.spec) == ("running", before.made.spec)
    assert (record.made.words, record.made.cwd) == (before.made.words, before.made.cwd)
    assert (record.made.kept, record.made.disks) == (before.made.kept, ("disk0.img",))
    plain = [
        [
            re.sub(r"fd=\d+", "fd", word)
            for word in run.argv
            if "/" not in word and word[:4] != "web-"
        ]
        for run in (before.run, record.run)
    ]
    assert plain[0] == plain[1]
    assert record.run.started_s > before.run.started_s
    machines.run("stop", "web")
    assert (tmp_path / "web-state" / "console.log").read_text().startswith("up\n")


def test_a_machine_whose_working_folder_is_gone(machines, tmp_path, monkeypatch):
    system = tmp_path / machines.system("web", *STEPS)
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(machines, "folder", tmp_path / "work")
    words = ("run", "-d", "--accel", "tcg", "--arch", "amd64", "--networking", "user")
    assert machines.run(*words, str(system)).returncode == 0
    machines.run("stop", "web")
    (tmp_path / "work").rmdir()
    monkeypatch.setattr(machines, "folder", tmp_path)
    done = machines.run("-v", "start", "web")
    assert (done.returncode, done.stdout) == (0, "web\n")
    assert "web is started from here, not from where it was made" in done.stderr


def test_several_and_one_that_runs(stopped, machines, sampan):
    stopped("web")
    stopped("db")
    machines.start("cache", "hang")
    said = sampan("start", "db", "web", "cache")
    assert (said.status, sorted(said.out.split())) == (0, ["cache", "db", "web"])
    assert {each.status for each in machines.store.records()} == {"running"}


def test_as_objects(stopped, sampan):
    stopped("web", "--publish", "0:80")
    said = sampan("--json", "start", "web")
    assert said.status == 0
    found = json.loads(said.out)
    assert (found["name"], found["status"], found["ports"][0]["host_port"]) == (
        "web", "running", 40080,
    )  # fmt: skip


def test_a_machine_on_our_network_is_published_again(machines, sampan):
    name = machines.system("web", *STEPS)
    run = ("run", "-d", "--accel", "tcg", "--arch", "amd64", "--publish", "0:80", name)
    assert machines.run(*run).returncode == 0
    sampan("stop", "web")
    assert sampan("start", "web").out == "web\n"
    [port] = machines.store.record("web").run.ports
    assert (port.guest_port, port.bind) == (80, "127.0.0.1")
    assert machines.store.record("web").run.network == "web"


def test_a_crashed_one_starts(machines, sampan):
    record = machines.start("web", *STEPS)
    record.run.supervisor.kill()
    assert sampan("start", "web").out == "web\n"
    assert not record.run.hypervisor.alive()
    assert machines.store.record("web").status == "running"


def test_one_that_was_suspended_once(machines, sampan):
    machines.start("web", *STEPS, flags=("--publish", "0:80"))
    assert sampan("suspend", "web").status == 0
    assert "resume web" in machines.run("start", "web").stderr
    assert sampan("resume", "web").out == "web\n"
    sampan("stop", "web")
    assert sampan("start", "web").out == "web\n"
    assert machines.store.record("web").run.ports[0].host_port == 40080


def test_a_clone(machines, sampan):
    machines.start("web", *STEPS)
    sampan("snapshot", "create", "web", "clean")
    sampan("clone", "web", "clean", "a")
    sampan("stop", "a", "web")
    assert sampan("start", "a").out == "a\n"
    assert machines.store.record("a").status == "running"


def test_attached(stopped, machines):
    stopped("web", steps=("say up", "poweroff"))
    done = machines.run("start", "-attach", "web")
    assert (done.returncode, done.stdout) == (0, "up\n")
    assert machines.store.record("web").status == "stopped"


def test_attached_signals_are_the_power_button(stopped, machines):
    stopped("web")
    command = [sys.executable, "-m", "sampan", "start", "--attach", "web"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=machines.folder) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"up\n"
        os.kill(child.pid, signal.SIGTERM)
        assert child.wait(60) == 0


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (("nope",), 1, "there is no machine called 'nope'"),
        (("-a", "web", "db"), 2, "there is one console here"),
        ((), 2, "Missing argument"),
    ],
)
def test_what_cannot_be(sampan, machines, words, status, message):
    said = sampan("start", *words)
    assert said.status == status
    assert message in said.err


def test_a_file_that_moved(stopped, machines, sampan, tmp_path):
    stopped("web", "--disk", "data.img,size=1M,format=raw")
    for name, what in (
        ("data.img", "disk"),
        ("web-initrd.img", "initrd"),
        ("web-kernel", "kernel"),
    ):
        (tmp_path / name).rename(tmp_path / "moved")
        done = machines.run("start", "web")
        assert (done.returncode, done.stdout) == (1, "")
        first, hint, last = done.stderr.splitlines()
        assert first == (
            f"sampan: web cannot start: its {what} {tmp_path / name} is not there any more"
        )
        assert "the machine was made by sampan run -d " in hint
        assert hint.endswith(f" web, in {tmp_path}")
        assert last == "sampan: web did not start"
        (tmp_path / "moved").rename(tmp_path / name)
    assert machines.store.record("web").status == "stopped"
    assert sampan("start", "web").status == 0


def test_a_port_that_is_taken(machines, sampan):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    name = machines.system("web", *STEPS)
    run = ("run", "-d", "--accel", "tcg", "--arch", "amd64", "--publish", f"{port}:80", name)
    assert machines.run(*run).returncode == 0
    sampan("stop", "web")
    with socket.create_server(("127.0.0.1", port)):
        done = machines.run("start", "web")
    assert done.returncode == 1
    assert done.stderr.startswith(f"sampan: port {port}/tcp of 127.0.0.1 is taken by ")
    assert done.stderr.endswith("sampan: web did not start\n")
    assert sampan("start", "web").status == 0


def test_one_that_runs_has_its_console_elsewhere(machines, sampan):
    machines.start("web", "hang")
    said = sampan("start", "--attach", "web")
    assert said.err == "sampan: web runs already\n  hint: its console: sampan console web\n"


def test_one_that_is_damaged(stopped, sampan):
    record = stopped("web")
    (record.folder / "run.json").write_text("{")
    said = sampan("start", "--attach", "web")
    assert said.status == 1
    assert "run.json" in said.err
    assert said.err.endswith("hint: forget it: sampan rm web\n")


def test_one_that_is_suspended(stopped, sampan, machines):
    record = stopped("web")
    (record.folder / "suspended.json").write_text("{}")
    said = sampan("start", "--attach", "web")
    assert said.status == 1
    assert "go on with it: sampan resume web" in said.err
