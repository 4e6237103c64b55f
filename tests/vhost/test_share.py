"""The program that serves a folder, as a parent and a hypervisor see it."""

import json
import socket
import subprocess
import sys

import pytest

from sampan.vhost.core.message import HEADER, Request
from sampan.vhost.share import main


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "shared"
    folder.mkdir()
    (folder / "file").write_text("text")
    return folder


@pytest.fixture
def start(tmp_path):
    """Starts the program; its process, and the path where it listens."""
    started = []

    def start(*arguments, control=None):
        path = tmp_path / "socket"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen(1)
        command = [sys.executable, "-m", "sampan.vhost.share", "--fd", str(listener.fileno())]
        fds = [listener.fileno()]
        if control is not None:
            fds.append(control.fileno())
            command.append(f"--control={fds[1]}")
        with listener:
            process = subprocess.Popen(
                [*command, *map(str, arguments)], pass_fds=fds,
                stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        started.append(process)
        return process, path

    yield start
    for process in started:
        process.kill()
        process.communicate()


def connect(path):
    hypervisor = socket.socket(socket.AF_UNIX)
    hypervisor.settimeout(60)
    hypervisor.connect(str(path))
    ask(hypervisor)
    return hypervisor


def ask(hypervisor):
    hypervisor.sendall(HEADER.pack(Request.GET_FEATURES, 1, 0))
    assert len(hypervisor.recv(100)) == HEADER.size + 8


@pytest.mark.parametrize("owners", [[], ["--owners", "attributes"]])
def test_it_ends_with_its_hypervisor(start, folder, owners):
    process, path = start("--source", folder, "--tag", "share", *owners)
    connect(path).close()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")


def test_a_hypervisor_that_makes_no_sense(start, folder):
    process, path = start("--source", folder, "--tag", "share")
    with connect(path) as hypervisor:
        hypervisor.sendall(b"\xff" * 12)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.count("\n") == 1


def test_what_the_parent_tells_it(start, folder):
    ours, theirs = socket.socketpair()
    ours.settimeout(60)
    process, path = start("--source", folder, "--tag", "share", control=theirs)
    theirs.close()
    with ours, connect(path) as hypervisor:
        ours.sendall(b'{"stage": [{"did": "create", "path": "file"}]}\n')
        assert json.loads(ours.recv(1000)) == {"staged": 1, "own": [], "left": 0}
        ours.shutdown(socket.SHUT_RDWR)
        ask(hypervisor)  # it serves on
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_parent_that_dies_before_there_is_a_machine(start, folder):
    ours, theirs = socket.socketpair()
    process, _ = start("--source", folder, "--tag", "share", control=theirs)
    theirs.close()
    ours.close()
    process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize("name", ["none", "file"])
def test_what_cannot_be_shared(start, folder, name):
    process, _ = start("--source", folder / name / "x", "--tag", "share")
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert said.startswith(f"cannot share {folder / name / 'x'}: ")
    assert said.count("\n") == 1


def test_arguments_that_make_no_sense(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--fd", "x"])
    assert ended.value.code == 2
    assert "--fd" in capsys.readouterr().err
