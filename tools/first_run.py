"""What `make run` does: build a system that serves a web page, boot it, and show the page.

Stands on the command line alone: it types `sampan build` and `sampan run` as you would. While
`run` has the terminal, a thread asks for the page until it is there and shows it. Then the
console is yours; without a terminal the machine is told to power off, and the exit status is 0
when it was seen to work from beginning to end.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from sampan.cli.main import main as sampan

SYSTEM = Path(__file__).parents[1] / "examples" / "systems" / "web.yml"
FAVOURITE_PORT = 8080
DEADLINE_S = 300.0  # from power-on to the page; 20 s with KVM, a minute without
_PAUSE_S = 0.5  # between two tries to connect


class Visitor(threading.Thread):
    """Asks for the page at `port` until it is there, then calls `found` or, at last, `gave_up`."""

    def __init__(self, port: int, deadline_s: float = DEADLINE_S) -> None:
        super().__init__(name="visitor", daemon=True)
        self.address = f"http://127.0.0.1:{port}/"
        self.page: str | None = None
        self.left = threading.Event()  # set it to make the visitor go
        self._deadline_s = deadline_s
        self._began = time.monotonic()

    def run(self) -> None:
        """Try, wait, try again; then tell the machine to go if nobody sits at the console."""
        while self.page is None and not self.left.is_set() and self.seconds() < self._deadline_s:
            self.page = fetch(self.address)
            if self.page is None:
                self.left.wait(_PAUSE_S)
        if self.left.is_set():
            return
        if self.page is None:
            say(f"no page at {self.address} within {self._deadline_s:.0f} s; powering off")
        else:
            say(f"{self.address} after {self.seconds():.1f} s:\n\n{self.page}")
        if self.page is not None and os.isatty(0) and os.isatty(1):
            say("this is its console: Ctrl-A x ends the machine, Ctrl-A h shows more")
        else:
            os.kill(os.getpid(), signal.SIGTERM)  # `sampan run` presses the power button

    def seconds(self) -> float:
        """Seconds since the visitor set out."""
        return time.monotonic() - self._began


def fetch(address: str) -> str | None:
    """The page at `address`, or None if nobody answers."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(address, timeout=5) as answer:
            data: bytes = answer.read(1 << 20)
    except OSError:
        return None
    return data.decode(errors="replace")


def say(text: str) -> None:
    """A message between the lines of the console, whose terminal may be raw."""
    sys.stdout.write("\r\n" + f"--- {text}\n".replace("\n", "\r\n" if os.isatty(1) else "\n"))
    sys.stdout.flush()


def free_port(favourite: int) -> int:
    """`favourite` if nobody has it, else any free port of 127.0.0.1."""
    for port in (favourite, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SystemExit("127.0.0.1 has no free port")


def build_and_run(folder: Path, system: Path) -> int:
    """Build `system` in `folder` and run it; the exit status."""
    say(f"sampan build {system}")
    if status := sampan(["build", "--dir", str(folder), str(system)]):
        return status
    port = free_port(FAVOURITE_PORT)
    path = folder / system.stem
    say(f"sampan run --publish {port}:80 {path}")
    visitor = Visitor(port)
    visitor.start()
    status = sampan(["run", "--publish", f"{port}:80", str(path)])
    visitor.left.set()
    visitor.join()
    return status or (0 if visitor.page is not None else 1)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build a system, boot it, show its page.")
    parser.add_argument("system", nargs="?", type=Path, default=SYSTEM, help="a YAML file")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="sampan-first-") as folder:
        return build_and_run(Path(folder), options.system)


if __name__ == "__main__":
    raise SystemExit(main())
