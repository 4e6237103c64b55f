"""The program of `sampan/host-timesync-daemon`: keeps this machine's clock with its host's.

    host-timesync-daemon [-cid N] [-port N] [-interval SECONDS] [-step SECONDS]

As LinuxKit's it sets the clock from the machine's real-time clock, which is the host's, whenever
somebody connects to a vsock port. Besides it compares both now and then, because a machine that
was paused or restored is late and nobody may come and say so. Differences below a step are left
to NTP: the real-time clock counts whole seconds.
"""

from __future__ import annotations

import select
import socket
import time

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import option

_ANY_CID = 0xFFFFFFFF
_RTC = "/sys/class/rtc/rtc0"
_DEFAULTS = {"cid": "0", "port": "0", "interval": "10", "step": "2"}


class Clock:
    """The two clocks of a machine."""

    def __init__(self, rtc: str = _RTC) -> None:
        self._rtc = rtc

    def host_s(self) -> int:
        """The real-time clock, which counts UTC: seconds since 1970.

        Raises:
            AgentError: there is none.
        """
        try:
            with open(f"{self._rtc}/since_epoch", encoding="ascii") as stream:
                return int(stream.read())
        except (OSError, ValueError) as error:
            raise AgentError(f"cannot read the real-time clock: {error}") from error

    def own_s(self) -> float:
        """This machine's own clock."""
        return time.clock_gettime(time.CLOCK_REALTIME)

    def set(self, seconds: float) -> None:
        """Set this machine's own clock."""
        time.clock_settime(time.CLOCK_REALTIME, seconds)


def main(words: list[str]) -> int:
    """Keep the clock until this program is ended."""
    given, _, rest = option.parse(words, _DEFAULTS)
    if rest:
        raise AgentError(f"what is {rest[0]}?")
    try:
        cid, port = int(given["cid"]), int(given["port"], 0)
        interval_s, step_s = float(given["interval"]), float(given["step"])
    except ValueError as error:
        raise AgentError(f"an option is no number: {error}") from error
    clock = Clock()
    listener = _listen(cid, port) if port else None
    while True:
        called = _wait(listener, interval_s)
        moved_s = correct(clock, 0.0 if called else step_s)
        if moved_s:
            print(f"host-timesync-daemon: the clock was {-moved_s:+.0f} s off", flush=True)


def correct(clock: Clock, step_s: float) -> float:
    """Set the clock if it is more than `step_s` off (a second in any case); what it moved, in s.

    The real-time clock was read somewhere within its second.
    """
    off_s = clock.host_s() + 0.5 - clock.own_s()
    if abs(off_s) <= max(step_s, 1.0):
        return 0.0
    clock.set(clock.own_s() + off_s)
    return off_s


def _listen(cid: int, port: int) -> socket.socket | None:
    try:
        listener = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        listener.bind((cid or _ANY_CID, port))
        listener.listen(4)
    except OSError as error:  # a machine without vsock: the comparing remains
        print(f"host-timesync-daemon: nobody can call: {error.strerror}", flush=True)
        return None
    return listener


def _wait(listener: socket.socket | None, interval_s: float) -> bool:
    """Wait for the interval; whether somebody connected meanwhile."""
    if listener is None:
        time.sleep(interval_s)
        return False
    ready, _, _ = select.select([listener], [], [], interval_s)
    if not ready:
        return False
    connection, _ = listener.accept()
    connection.close()
    return True
