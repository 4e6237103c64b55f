import os
import signal
import subprocess
import sys

import pytest

from sampan.cli import detach

RUN = ("run", "--detached", "--accel", "tcg", "--arch", "amd64", "--networking", "user")


def test_a_machine_in_the_background(machines):
    done = machines.run(*RUN, "--publish", "0:80", machines.system("web", "say hi", "hang"))
    assert (done.returncode, done.stdout) == (0, "web\n")
    assert done.stderr.splitlines() == [
        "sampan: web starts on tcg", "sampan: 127.0.0.1:40080/tcp is port 80 of the guest",
    ]  # fmt: skip
    record = machines.store.record("web")
    assert record.status == "running"
    assert (record.folder / "tty").is_char_device()
    assert machines.run(*RUN, "web").stdout == "web-2\n"


@pytest.mark.parametrize(
    ("words", "steps", "status", "message"),
    [
        ((), ("silent",), 1, "sampan: QEMU did not start: fake: I do not want to"),
        (("--mem", "8"), ("hang",), 2, "sampan: 8 MiB of memory is too little"),
        (("--publish", "x"), ("hang",), 2, "sampan: cannot publish 'x'"),
    ],
)
def test_errors_of_the_start_are_shown_here(machines, words, steps, status, message):
    name = machines.system("web", *steps)
    behind = machines.run(*RUN, *words, name)
    in_front = machines.run("run", *RUN[2:], *words, name)
    assert (behind.returncode, behind.stdout) == (in_front.returncode, "") == (status, "")
    assert behind.stderr.splitlines()[0] == in_front.stderr.splitlines()[0]
    assert message in behind.stderr
    assert machines.store.names() == ()


def test_a_name_that_is_taken(machines):
    machines.start("web", "hang", flags=("--name", "lab"))
    done = machines.run(*RUN, "--name", "lab", "web")
    assert done.returncode == 1
    assert done.stderr.startswith("sampan: a machine called lab runs already\n  hint: choose")


def test_sigterm_is_the_power_button_there_too(machines):
    record = machines.start("web", "button", "poweroff")
    os.kill(record.run.supervisor.pid, signal.SIGTERM)
    assert machines.store.wait_ended(record, 60)
    assert machines.store.record("web").run.ended.clean
    assert "power button pressed" in (record.folder / "sampan.log").read_text()


def test_an_interrupt_while_it_starts_ends_it(machines, monkeypatch):
    name = machines.system("web", "hang")
    (machines.folder / "bin" / "qemu-system-x86_64").write_text("#!/bin/sh\nexec sleep 100\n")
    command = [sys.executable, "-m", "sampan", *RUN, name]
    with subprocess.Popen(command, cwd=machines.folder, stderr=subprocess.PIPE) as child:
        while not machines.store.names():
            pass
        child.send_signal(signal.SIGINT)
        assert child.wait(timeout=60) == 130


def test_who_was_not_started_so_is_not_detached(monkeypatch):
    monkeypatch.delenv("SAMPAN_DETACHED", raising=False)
    assert detach.inherited() is None
