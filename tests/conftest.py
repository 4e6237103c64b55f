"""What tests of more than one package need."""

import logging
import os
import shutil
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# the same examples each time, however slow the machine: what a test finds, everybody finds;
# HYPOTHESIS_PROFILE=default looks for others
settings.register_profile(
    "house", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "house"))

pytest_plugins = ["pytester"]  # for tests of our own plugin

if len(tempfile.gettempdir()) > 24:  # many sockets are made there; their paths may be 103 bytes
    os.environ["TMPDIR"] = tempfile.tempdir = "/tmp"

FAKE_QEMU = Path(__file__).parent / "machine" / "fake_qemu.py"


@pytest.fixture(autouse=True)
def log_as_before() -> Iterator[None]:
    """A command points the log at stderr, which is another one in the next test."""
    logger = logging.getLogger("sampan")
    handlers, level = logger.handlers[:], logger.level
    yield
    logger.handlers[:] = handlers
    logger.setLevel(level)


@pytest.fixture
def runtime_root() -> Iterator[Path]:
    """A folder for sockets; tmp_path is too long for them."""
    root = Path(tempfile.mkdtemp(prefix="sampan-test-", dir="/tmp"))
    yield root
    shutil.rmtree(root)


@pytest.fixture
def fake_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, first on PATH, where every qemu-system-… acts out scripts (see fake_qemu.py)."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("qemu-system-x86_64", "qemu-system-aarch64"):
        program = folder / name
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{FAKE_QEMU}" "$@"\n')
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE_QEMU", str(folder))
    return folder


@pytest.fixture
def echo(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Servers that say what they hear, until they hear the end: by TCP and at a Unix socket."""
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(str(tmp_path / "echo"))
    unix.listen(100)
    tcp = socket.create_server(("127.0.0.1", 0), backlog=100)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError), ThreadPoolExecutor() as crew:
            while True:
                crew.submit(answer, listener.accept()[0])

    def answer(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            while data := connection.recv(1 << 16):
                connection.sendall(data)

    threads = [threading.Thread(target=serve, args=(each,)) for each in (tcp, unix)]
    for thread in threads:
        thread.start()
    yield tcp, unix
    for each, thread in zip((tcp, unix), threads, strict=True):
        each.shutdown(socket.SHUT_RDWR)
        thread.join()
        each.close()
