"""Folders of the host, mounted before the first container: what the kernel's command line says.

Each word `sampan.share=TAG:KIND:TARGET[:ro]` is a share, KIND `virtiofs` or `9p`.
"""

from __future__ import annotations

import os

from sampan.guest.agent import kernel
from sampan.guest.agent import mount as mounts
from sampan.guest.agent.document import Mount
from sampan.guest.agent.fault import AgentError

WORD = "sampan.share="
# 9P: half a MiB in one message is as fast as it gets, and the kernel's own dialect has links,
# locks and owners
_OPTIONS = {"virtiofs": (), "9p": ("trans=virtio", "version=9p2000.L", "msize=512000")}
_MISSING = "; its kernel has no {0}: sampan/kernel has virtiofs, sampan/kernel-generic 9p too"


def parse(command_line: str) -> tuple[Mount, ...]:
    """The mounts that the text of `/proc/cmdline` asks for; outer ones first.

    Raises:
        AgentError: a word makes no sense.
    """
    found = [_mount(word) for word in command_line.split() if word.startswith(WORD)]
    return tuple(sorted(found, key=lambda mount: mount.destination.count("/")))


def _mount(word: str) -> Mount:
    fields = word[len(WORD) :].split(":")
    tag, kind, target = (*fields, "", "", "")[:3]
    if kind not in _OPTIONS or not target.startswith("/") or fields[3:] not in ([], ["ro"]):
        raise AgentError(f"the kernel's command line says {word}, which is no share")
    return Mount(target, kind, tag, (*_OPTIONS[kind], "nodev", "nosuid", *fields[3:]))


def mount_all(command_line: str) -> int:
    """Mount every share; one that cannot be is said, and the others are mounted all the same.

    Returns the exit status of the program.

    Raises:
        AgentError: a word of the command line makes no sense.
    """
    status = 0
    for mount in parse(command_line):
        try:
            os.makedirs(mount.destination, exist_ok=True)
            for call in mounts.calls(mount, "/"):
                kernel.mount(call)
        except OSError as error:
            more = _MISSING.format(mount.type) if not _has_filesystem(mount.type) else ""
            print(
                f"sampan: share {mount.source} at {mount.destination} FAILED: "
                f"{error.strerror}{more}",
                flush=True,
            )
            status = 1
    return status


def _has_filesystem(kind: str) -> bool:
    with open("/proc/filesystems", encoding="ascii") as stream:
        return any(line.split()[-1] == kind for line in stream if line.strip())
