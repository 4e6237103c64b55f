"""What LinuxKit's users typed for vsudd: containerd of the guest, driven by the host's `ctr`."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.guest, pytest.mark.slow, pytest.mark.timeout(1800)]
EXAMPLE = Path(__file__).parents[2] / "examples" / "systems" / "vsudd.yml"
END_S = 300


@pytest.fixture
def place(built, tmp_path, monkeypatch):
    """A folder with the example, built, as users have it."""
    prefix = built(EXAMPLE)
    for end in ("kernel", "initrd.img", "cmdline"):
        (tmp_path / f"vsudd-{end}").symlink_to(f"{prefix}-{end}")
    monkeypatch.setenv("SAMPAN_STATE_DIR", str(tmp_path / "machines"))
    monkeypatch.delenv("SAMPAN_RUNTIME_DIR", raising=False)
    return tmp_path


@pytest.fixture
def running(place):
    """`sampan run qemu -vsock-ports 2374 vsudd`, until it has booted."""
    command = [sys.executable, "-m", "sampan", "run", "qemu", "-vsock-ports", "2374"]
    child = subprocess.Popen(
        [*command, "-networking", "none", "-mem", "512", "vsudd"],
        cwd=place, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    shown = ""
    with child:
        for line in child.stdout:
            shown += line.decode(errors="replace")
            if re.search("running, .* after boot", shown):
                break
        else:
            raise AssertionError(shown)
        yield child
        child.kill()


def ctr(place, socket, *words):
    return subprocess.run(
        ["ctr", "--address", socket, "--namespace", "services.linuxkit", *words],
        cwd=place, capture_output=True, text=True, check=False, timeout=END_S,
    )  # fmt: skip


def test_ctr_of_the_host(place, running):
    """What was started a moment ago may not listen yet."""
    deadline = time.monotonic() + END_S
    while (listed := ctr(place, "vsudd-state/guest.00000946", "tasks", "ls")).returncode:
        assert time.monotonic() < deadline, listed.stderr
    assert re.search(r"^vsudd +\d+ +RUNNING$", listed.stdout, re.MULTILINE)
    os.kill(running.pid, signal.SIGTERM)
    running.communicate(timeout=END_S)
    assert not (place / "vsudd-state" / "guest.00000946").is_symlink()
