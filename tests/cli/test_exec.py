"""`sampan exec` and `sampan cp` with the guest's own program behind a control socket."""

import asyncio
import os
import pty
import signal
import socket
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from sampan.cli import exec as exec_
from sampan.cli import target
from sampan.cli.main import main
from sampan.guest.remote.place import Place
from sampan.guest.remote.server import Agent as GuestAgent
from sampan.machine.agent import served
from sampan.machine.agent.client import Agent
from sampan.machine.agent.link import Link, Plug
from sampan.machine.registry.record import Status
from sampan.machine.supervise.server import Server


def _fork_guest(ours, theirs):
    pid = os.fork()
    if pid == 0:
        try:
            ours.close()
            theirs.setblocking(False)
            GuestAgent(theirs.fileno(), Place(None), set_clock=lambda wall_s: None, info=b"").run()
        finally:
            os._exit(0)
    theirs.close()
    return pid


async def _live(ours, path, offers, started, finish):
    finish.append((asyncio.get_running_loop(), asyncio.Event()))
    link, server = Link(), Server()
    if offers:
        await asyncio.get_running_loop().create_unix_connection(lambda: Plug(link), sock=ours)
        served.offer(server, Agent(link))
    async with server.serving(path):
        started.set()
        await finish[0][1].wait()
    link.close()
    await asyncio.sleep(0)


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Makes "web" a machine that runs, with an agent unless told otherwise."""
    threads = []

    def begin(*, offers=True, status=Status.RUNNING):
        ours, theirs = socket.socketpair()
        pid = _fork_guest(ours, theirs)
        started = threading.Event()
        finish: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        path = tmp_path / "control"
        arguments = (ours, path, offers, started, finish)
        thread = threading.Thread(target=lambda: asyncio.run(_live(*arguments)))
        thread.start()
        started.wait(60)
        threads.append((thread, finish, ours, pid))
        monkeypatch.setattr(target, "store", lambda: None)
        record = SimpleNamespace(name="web", status=status)
        monkeypatch.setattr(target, "healed", lambda store, name: record)
        monkeypatch.setattr(target, "reached", lambda record: SimpleNamespace(path=path))

    yield begin
    for thread, finish, ours, pid in threads:
        loop, event = finish[0]
        loop.call_soon_threadsafe(event.set)
        thread.join(60)
        ours.close()
        os.waitpid(pid, 0)


@pytest.fixture
def web(serve):
    serve()


@pytest.fixture
def given(monkeypatch):
    """Makes descriptor 0 something to read."""
    before = os.dup(0)

    def give(data):
        reader, writer = os.pipe()
        os.write(writer, data)
        os.close(writer)
        os.dup2(reader, 0)
        os.close(reader)

    yield give
    os.dup2(before, 0)
    os.close(before)


def test_streams_and_status(web, capfd):
    assert main(["exec", "web", "sh", "-c", "echo out; echo err >&2; exit 5"]) == 5
    assert capfd.readouterr() == ("out\n", "err\n")


def test_options(web, capfd, tmp_path):
    user = ["--user", "root"] if os.geteuid() == 0 else []  # which only root may ask for
    words = ["-e", "A=b", "-w", str(tmp_path), *user, "web", "sh", "-c", "echo $A; pwd"]
    assert main(["exec", *words]) == 0
    assert capfd.readouterr().out == f"b\n{tmp_path}\n"


def test_flags_of_the_program_are_its_own(web, capfd):
    assert main(["exec", "web", "echo", "-n", "--tty", "-it"]) == 0
    assert capfd.readouterr().out == "--tty -it"


def test_input(web, capfd, given):
    given(b"given")
    assert main(["exec", "-i", "web", "cat"]) == 0
    assert capfd.readouterr().out == "given"


def test_without_i_nothing_is_read(web, capfd, given):
    given(b"given")
    assert main(["exec", "web", "cat"]) == 0
    assert capfd.readouterr().out == ""


def test_input_out_of_a_file(web, capfd, tmp_path, given):
    (tmp_path / "file").write_bytes(b"x" * 100_000)
    descriptor = os.open(tmp_path / "file", os.O_RDONLY)
    os.dup2(descriptor, 0)
    os.close(descriptor)
    assert main(["exec", "-i", "web", "wc", "-c"]) == 0
    assert capfd.readouterr().out.strip() == "100000"


def test_ctrl_c_goes_to_the_program(web, capfd, tmp_path):
    os.mkfifo(tmp_path / "ready")

    def press():
        (tmp_path / "ready").read_bytes()
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    program = f"trap 'echo got it; exit 9' INT; : > {tmp_path}/ready; while :; do sleep 0.1; done"
    assert main(["exec", "web", "sh", "-c", program]) == 9
    thread.join()
    assert capfd.readouterr().out == "got it\n"


@pytest.mark.parametrize("words", [["exec", "web", "true"], ["cp", "web:/etc/hostname", "x"]])
def test_a_paused_machine(serve, capfd, words):
    serve(status=Status.PAUSED)
    assert main(words) == 1
    assert capfd.readouterr().err == "sampan: web is paused\n  hint: sampan resume web\n"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["-t", "web", "sh"], 2, "there is no terminal here"),
        (["-e", "A", "web", "true"], 2, "say NAME=VALUE"),
        (["web", "no-such-program"], 127, "no such program"),
        (["web"], 2, "Missing argument"),
    ],
)
def test_what_goes_wrong(web, capfd, words, status, said):
    assert main(["exec", *words]) == status
    assert said in capfd.readouterr().err


def test_a_machine_without_a_channel(serve, capfd):
    serve(offers=False)
    assert main(["exec", "web", "true"]) == 1
    assert "the machine has no channel to an agent" in capfd.readouterr().err


CODE = """
import sys
from pathlib import Path
from types import SimpleNamespace
from sampan.cli import exec, target
from sampan.cli.main import main
target.store = lambda: None
target.healed = lambda store, name: SimpleNamespace(name=name, status="running")
target.reached = lambda record: SimpleNamespace(path=Path(sys.argv[1]))
exec._GRACE_S = float(sys.argv.pop(2))
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def process(web, tmp_path):
    """Starts `sampan exec` as a process of its own."""

    def start(*words, grace_s=60, **streams):
        control = str(tmp_path / "control")
        command = [sys.executable, "-c", CODE, control, str(grace_s), "exec", *words]
        return subprocess.Popen(command, **streams)

    return start


def test_on_a_terminal(process):
    ours, theirs = pty.openpty()
    program = "echo ready; read line; echo $line; tty; exit 4"
    child = process("-it", "web", "sh", "-c", program, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b"ready" not in shown:
        shown += os.read(ours, 1000)
    os.write(ours, b"typed\r")
    while b"/dev/pts/" not in shown:
        shown += os.read(ours, 1000)
    assert child.wait(60) == 4
    assert b"typed" in shown
    os.close(ours)


def test_a_reader_that_leaves(process):
    with process("web", "yes", stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"y\n"
        child.stdout.close()
        assert child.wait(60) == 1
        assert child.stderr.read() == b""


def test_ended_from_outside(process):
    """The program hears it, and has the last word."""
    words = ["sh", "-c", "trap 'echo bye; exit 3' TERM; echo on; while :; do sleep 0.1; done"]
    with process("web", *words, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"on\n"
        child.terminate()
        assert child.stdout.read() == b"bye\n"
        assert child.wait(60) == 3


def _deaf(*signals):
    return ["sh", "-c", f"trap 'echo no' {' '.join(signals)}; echo on; while :; do sleep 0.1; done"]


def test_ctrl_c_thrice_leaves_a_program_that_does_not_care(process):
    with process("web", *_deaf("INT"), stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"on\n"
        for _ in range(2):
            child.send_signal(signal.SIGINT)
            assert child.stdout.readline() == b"no\n"
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130


def test_a_program_that_is_told_to_end_and_does_not_is_left(process):
    with process("web", *_deaf("TERM"), grace_s=0, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline() == b"on\n"
        child.terminate()
        assert child.wait(60) == 143


def test_what_is_waited_for_is_said_on_a_terminal(monkeypatch, capsys):
    exec_._say_what_is_waited_for(30.0)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(os, "isatty", lambda descriptor: True)
    exec_._say_what_is_waited_for(30.0)
    assert "waiting for the agent in the machine, 30 s at most" in capsys.readouterr().err


def test_a_machine_whose_system_has_no_agent(machines):
    """All the way: every machine that runs has the channel, and this one nobody at its end."""
    machines.start("web", "hang")
    outcome = machines.run("exec", "--wait", "0.2", "web", "true")
    assert outcome.returncode == 1
    assert "no agent answers in the machine after 0.2 s" in outcome.stderr
    assert "sampan/agent" in outcome.stderr
