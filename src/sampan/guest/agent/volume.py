"""Volumes: `/containers/volumes/NAME` with `lower` and `merged`, and `tmp` when writable."""

from __future__ import annotations

import os

from sampan.guest.agent import kernel
from sampan.guest.agent import mount as mounts
from sampan.guest.agent.bundle import folders
from sampan.guest.agent.document import Mount
from sampan.guest.agent.fault import AgentError


def plan(path: str, *, writable: bool) -> tuple[Mount, ...]:
    """The mounts that make the volume in folder `path`: an overlay, or its image read-only."""
    lower, tmp, merged = f"{path}/lower", f"{path}/tmp", f"{path}/merged"
    if not writable:
        return (Mount(merged, "", lower, ("bind", "ro")),)
    layers = (f"lowerdir={lower}", f"upperdir={tmp}/upper", f"workdir={tmp}/work")
    return (Mount(tmp, "tmpfs", "tmpfs", ()), Mount(merged, "overlay", "overlay", layers))


def mount_all() -> None:
    """Mount every volume of the system.

    Raises:
        AgentError: one cannot be mounted; those before it are.
    """
    for path in folders("volumes"):
        if not (os.path.isdir(f"{path}/lower") and os.path.isdir(f"{path}/merged")):
            raise AgentError(f"{path}: a volume needs the folders `lower` and `merged`")
        for mount in plan(path, writable=os.path.isdir(f"{path}/tmp")):
            for folder in mounts.folders(mount, path):
                os.makedirs(folder, exist_ok=True)
            for call in mounts.calls(mount, path):
                try:
                    kernel.mount(call)
                except OSError as error:
                    raise AgentError(f"volume {path}: {error.strerror}") from error
