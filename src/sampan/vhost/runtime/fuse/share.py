"""One shared folder: what the guest knows of it and has open, and how it is served."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from sampan.vhost.core.fuse import reply
from sampan.vhost.core.fuse.reply import Patience
from sampan.vhost.core.fuse.request import Request
from sampan.vhost.runtime.fuse.handle import Handles
from sampan.vhost.runtime.fuse.node import Node, Nodes
from sampan.vhost.runtime.fuse.owner import Owners

Handler: TypeAlias = Callable[[Request], bytes]
"""Does what a request asks for; the answer's body. Raises OSError, which is the answer then."""

LIMIT = 1 << 20  # descriptors; a kernel that has fewer inodes in memory needs fewer
SPARE = 64  # descriptors for other things
CACHE_S = 1.0


@dataclass(frozen=True, slots=True)
class Setting:
    """How a folder is served. The guest believes what it was told for `cache_s` seconds.

    `files` is the path of a folder where descriptors are names of what they are open on.
    """

    read_only: bool = False
    cache_s: float = CACHE_S
    files: str = "/proc/self/fd/"


@dataclass(slots=True)
class Share:
    """A folder that is served, and what its one guest knows of it."""

    nodes: Nodes
    handles: Handles
    owners: Owners
    setting: Setting = field(default_factory=Setting)
    patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        self.patience = Patience.of(self.setting.cache_s)

    def check_writable(self) -> None:
        """Raises OSError (EROFS) if nothing may be changed."""
        if self.setting.read_only:
            raise OSError(errno.EROFS, "the share is read-only")

    def attributes(self, node: Node, status: os.stat_result | None = None) -> bytes:
        """What the guest sees of a node."""
        if node.fd < 0:
            return reply.made_up(node.kind | 0o700, node.id)
        if status is None:
            status = os.fstat(node.fd)
        owner = self.owners.shown(self.nodes.path(node), status)
        return reply.attributes(status, owner, self.nodes.number(status))

    def entry(self, node: Node, status: os.stat_result | None = None) -> bytes:
        """The answer that tells the guest of a node.

        If it cannot be told, it need not forget it.
        """
        try:
            found = self.attributes(node, status)
        except OSError:
            self.nodes.forget(node.id, 1)
            raise
        patience = self.patience if node.fd >= 0 else reply.AT_ONCE
        return reply.entry_out(node.id, found, patience)

    def forget_all(self) -> None:
        """The guest has unmounted the share, or was started anew."""
        self.handles.clear()
        self.nodes.clear()

    def close(self) -> None:
        """Give all descriptors back."""
        self.handles.clear()
        self.nodes.close()


def share(source: Path, owners: Owners, setting: Setting, limit: int) -> Share:
    """The folder `source` as a share, with at most so many descriptors (see `raise_limit`).

    Raises:
        OSError: it is no folder, or cannot be opened.
    """
    root = os.open(source, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    open_files = (limit - SPARE) // 4
    nodes = Nodes(root, limit - SPARE - open_files, setting.files)
    return Share(nodes, Handles(open_files), owners, setting)


def raise_limit() -> int:
    """Let this process have as many descriptors as it may; how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard > LIMIT:
        hard = LIMIT
    if soft == resource.RLIM_INFINITY or soft >= hard:
        return hard
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (hard, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    )
    return hard
