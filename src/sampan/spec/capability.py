"""Linux capabilities by name: the spellings people use, and what `all` and `none` mean."""

from __future__ import annotations

from collections.abc import Iterable

_NAMES = """
    CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
    NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO
    SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE
"""
ALL = tuple(f"CAP_{name}" for name in _NAMES.split())
"""All capabilities in the kernel's numeric order (capability.h, Linux 5.9 and later)."""

WORDS = ("all", "none")


def parse(text: str) -> str:
    """The name as the kernel has it (`net_admin` → `CAP_NET_ADMIN`), or `all` or `none`.

    Raises:
        ValueError: there is no such capability.
    """
    if text.lower() in WORDS:
        return text.lower()
    name = f"CAP_{text.upper().removeprefix('CAP_')}"
    if name not in ALL:
        raise ValueError(f"unknown capability {text[:80]!r}")
    return name


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """What a list of parsed names grants, each once, in the given order.

    `all` anywhere gives every capability in the kernel's order; `none` adds nothing.
    """
    given = tuple(dict.fromkeys(names))
    if "all" in given:
        return ALL
    return tuple(name for name in given if name != "none")
