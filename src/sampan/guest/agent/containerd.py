"""The containerd of a system: its command line, its start, its socket."""

from __future__ import annotations

import os
import re
import socket
import time

from sampan.guest.agent import log, process
from sampan.guest.agent.fault import AgentError

SOCKET = "/run/containerd/containerd.sock"
SETTINGS = "/etc/containerd/runtime-config.toml"
_PATIENCE_S = 60.0
_SETTING = re.compile(r"""\s*(cliopts|stderr|stdout)\s*=\s*["'](.*)["']\s*""")


def parse_settings(text: str) -> dict[str, str]:
    """The keys `cliopts`, `stderr` and `stdout` of LinuxKit's `runtime-config.toml`."""
    found = (_SETTING.fullmatch(line) for line in text.splitlines())
    return {match[1]: match[2] for match in found if match}


def start(program: str) -> int:
    """Start containerd and wait until it answers; its process id.

    Raises:
        AgentError: it ended, or did not answer within a minute.
    """
    settings: dict[str, str] = {}
    if os.path.exists(SETTINGS):
        with open(SETTINGS, encoding="utf-8", errors="replace") as stream:
            settings = parse_settings(stream.read())
    if os.path.exists(SOCKET):
        os.unlink(SOCKET)
    out = log.open_log(settings.get("stdout") or "/var/log/containerd.out.log")
    err = log.open_log(settings.get("stderr") or "/var/log/containerd.log")
    try:
        argv = [program, *settings.get("cliopts", "").split()]
        pid = process.start(argv, stdout=out, stderr=err)
    finally:
        os.close(out)
        os.close(err)
    _wait(pid)
    return pid


def _wait(pid: int) -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while not answers():
        ended, raw = os.waitpid(pid, os.WNOHANG)
        if ended:
            said = "; ".join(log.tail("/var/log/containerd.log", 3))
            raise AgentError(f"containerd {process.explain(process.decode(raw))}: {said}")
        if time.monotonic() > deadline:
            raise AgentError(f"containerd does not answer after {_PATIENCE_S:g} s")
        time.sleep(0.05)


def answers() -> bool:
    """Whether somebody listens on containerd's socket."""
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(SOCKET)
        except OSError:
            return False
    return True
