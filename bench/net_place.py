"""Two network namespaces for bench/net.py: `outside`, with the servers and the contender, and
`inside`, what the machine has. Nothing of the host's own settings or traffic comes between.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from net_client import PORTS

from sampan.base import proc

ECHO_PORT, CLOSING_PORT, IPERF_PORT = 5401, 5411, 5201
_ALLOWED = Path("/proc/sys/net/ipv4/tcp_allowed_congestion_control")
_CLONE_NEWNET = 0x40000000
# a route to nowhere, because pasta copies the host's addresses to the machine
_OUTSIDE = ("link add up0 type veth peer name up1", "link set up1 up", "link set up0 up",
            "addr add 192.0.2.2/24 dev up0", "route add default via 192.0.2.1")  # fmt: skip
_T = TypeVar("_T")


class Place:
    """The namespaces and the servers in them; a context manager that leaves nothing behind."""

    def __init__(self, congestion: str = "reno") -> None:
        self.outside = f"bench-{os.getpid()}-out"
        self.inside = f"bench-{os.getpid()}-in"
        self._congestion = congestion
        self._servers: list[proc.Child] = []
        self._allowed = _ALLOWED.read_text()

    def __enter__(self) -> Self:
        try:
            self._allow()
            self._make(self.outside, *_OUTSIDE)
            ports = [[str(first + n) for n in range(PORTS)] for first in (ECHO_PORT, CLOSING_PORT)]
            program = Path(__file__).with_name("net_server.py")
            server: list[str | Path] = [sys.executable, "-S", program]
            self._servers = [
                self.start(self.outside, [*server, *ports[0], "--", *ports[1]]),
                self.start(self.outside, ["iperf3", "-s", "-p", str(IPERF_PORT)]),
            ]
        except BaseException:
            self._clean()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._clean()

    def renew_inside(self) -> None:
        """A new, empty namespace for the next contender."""
        self._delete(self.inside)
        self._make(self.inside)

    def start(self, name: str, argv: list[str | Path] | list[str], **given: int) -> proc.Child:
        """Start a program in a namespace; its output is thrown away."""
        with Path(os.devnull).open("wb") as nowhere:
            return proc.start(
                ["ip", "netns", "exec", name, *argv],
                stdout=nowhere,
                stderr=nowhere,
                pass_fds=tuple(given.values()),
            )

    def run(self, name: str, argv: list[str | Path] | list[str], timeout_s: float = 60) -> bytes:
        """What a program prints in a namespace."""
        return proc.run(["ip", "netns", "exec", name, *argv], timeout_s=timeout_s).stdout

    def ip(self, name: str, command: str) -> None:
        """`ip` in a namespace."""
        proc.run(["ip", "-n", name, *command.split()])

    def within(self, name: str, action: Callable[[], _T]) -> _T:
        """Call a function with this thread in a namespace."""
        libc = ctypes.CDLL(None, use_errno=True)
        home, there = (
            os.open(path, os.O_RDONLY) for path in ("/proc/self/ns/net", f"/run/netns/{name}")
        )
        try:
            if libc.setns(there, _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            try:
                return action()
            finally:
                libc.setns(home, _CLONE_NEWNET)
        finally:
            os.close(home)
            os.close(there)

    def _make(self, name: str, *commands: str) -> None:
        proc.run(["ip", "netns", "add", name])
        settings = [
            f"net.ipv4.tcp_congestion_control={self._congestion}",
            "net.ipv4.ip_local_port_range=10000 65000",
        ]
        self.run(name, ["sysctl", "-qw", *settings])
        for command in ("link set lo up", *commands):
            self.ip(name, command)

    def _allow(self) -> None:
        """Namespaces may only use what the host allows everybody."""
        if self._congestion not in self._allowed.split():
            _ALLOWED.write_text(f"{self._allowed.strip()} {self._congestion}")

    def _clean(self) -> None:
        _ALLOWED.write_text(self._allowed)
        for server in self._servers:
            end(server)
        for name in (self.inside, self.outside):
            self._delete(name)

    def _delete(self, name: str) -> None:
        proc.run(["ip", "netns", "delete", name], check=False)


def end(child: proc.Child) -> None:
    """Ask a child to end, then make it."""
    child.terminate()
    deadline = time.monotonic() + 3
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
