"""What a process of the host has used: processor time, memory, and since when it is there.

From `/proc` (proc_pid_stat(5)); where there is none, from `ps`, which knows nothing of threads.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import msgspec

from sampan.base import proc

_PROC = Path("/proc")
_PS_TIME = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+(?:\.\d+)?)")


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a process has used so far, over `age_s` seconds."""

    cpu_s: float
    rss_bytes: int
    age_s: float


def of_process(pid: int) -> Usage | None:
    """What process `pid` has used; None if it is gone."""
    if not (_PROC / "self").exists():
        return _of_ps(pid)
    try:
        fields = _fields(_PROC / str(pid) / "stat")
        booted_s = float((_PROC / "uptime").read_text().split()[0])
    except OSError:
        return None
    tick = os.sysconf("SC_CLK_TCK")
    return Usage(
        cpu_s=(int(fields[11]) + int(fields[12])) / tick,
        rss_bytes=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
        age_s=max(0.0, booted_s - int(fields[19]) / tick),
    )


def of_thread(pid: int, thread: int) -> float | None:
    """The processor time in seconds of one thread of `pid`; None if that cannot be told."""
    try:
        fields = _fields(_PROC / str(pid) / "task" / str(thread) / "stat")
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _fields(path: Path) -> list[str]:
    """The fields after the name, which may hold anything; field 3 of the manual is the first."""
    return path.read_text(errors="replace").rpartition(")")[2].split()


def _of_ps(pid: int) -> Usage | None:
    done = proc.run(["ps", "-o", "rss=,time=,etime=", "-p", str(pid)], check=False)
    words = done.stdout.decode().split()
    if len(words) != 3:
        return None
    rss, cpu, age = words
    return Usage(cpu_s=_seconds(cpu), rss_bytes=int(rss) << 10, age_s=_seconds(age))


def _seconds(text: str) -> float:
    """`[[days-]hours:]minutes:seconds`, as all kinds of `ps` write it."""
    found = _PS_TIME.fullmatch(text)
    if found is None:
        return 0.0
    days, hours, minutes, seconds = (float(each or 0) for each in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
