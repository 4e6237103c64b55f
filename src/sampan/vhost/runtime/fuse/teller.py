"""The teller: one task of the guest that repeats what happened on the host, and changes nothing.

What it may say it does is staged (`core.fuse.control`); how it sees names until then is decided
in `core.fuse.pretence`. Here is what that means for requests: each of the teller's that would
change something is answered as if it had, or refused, and never reaches the host. All others of
its requests, and those of other tasks, are none of the teller's business (`answer` gives None).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Sequence

from sampan.vhost.core.fuse import reply, wire
from sampan.vhost.core.fuse.control import Deed, Item, Path
from sampan.vhost.core.fuse.pretence import Pretences, Sight, View
from sampan.vhost.core.fuse.request import Request, checked
from sampan.vhost.core.fuse.wire import ROOT, Op, Opened, Set
from sampan.vhost.runtime.fuse.file import is_writing
from sampan.vhost.runtime.fuse.handle import Handle
from sampan.vhost.runtime.fuse.node import Node
from sampan.vhost.runtime.fuse.share import Handler, Share

_FOLDER, _FILE = stat.S_IFDIR, stat.S_IFREG
_REFUSED = (
    Op.LINK, Op.TMPFILE, Op.SETXATTR, Op.REMOVEXATTR, Op.FALLOCATE, Op.COPY_FILE_RANGE,
)  # fmt: skip


class Teller:
    """Answers its requests. `clock` is a time in seconds."""

    def __init__(self, share: Share, clock: Callable[[], float]) -> None:
        self._share = share
        self._clock = clock
        self._pretences = Pretences()
        self._token = b""
        self._known: int | None = None  # the node of the token, if the guest was told of it
        self._held: int | None = None  # the handle that makes the task the teller
        self._pid = 0
        self._moving: dict[Path, int] = {}  # nodes that the teller has seen by their old names
        self._handlers: dict[int, Handler | Callable[[Request], bytes | None]] = {
            **dict.fromkeys(_REFUSED, _refuse),
            Op.LOOKUP: self._look_up,
            Op.CREATE: self._create,
            Op.MKNOD: self._make_node,
            Op.MKDIR: self._make_folder,
            Op.SYMLINK: self._make_link,
            Op.UNLINK: self._unlink,
            Op.RMDIR: self._remove_folder,
            Op.RENAME: self._rename,
            Op.RENAME2: self._rename,
            Op.OPEN: self._open,
            Op.WRITE: self._write,
            Op.SETATTR: self._set,
        }

    # For the parent

    def expect(self, token: bytes) -> None:
        """Whoever opens this name in the root is the teller."""
        self._token = token

    def stage(self, items: Sequence[Item]) -> int:
        """What the teller is about to repeat; how much of what was staged before is left."""
        self._moving.clear()
        return self._pretences.stage(items, self._clock())

    # For the server

    def reset(self) -> None:
        """The guest was started anew: there is no teller."""
        self._known = self._held = None
        self._pid = 0

    def answer(self, request: Request) -> bytes | None:
        """The answer to the teller's request; None: it is to be served like any other.

        Raises:
            OSError: it is refused.
        """
        op = request.op
        if op == Op.LOOKUP and request.node == ROOT and self._token:
            if request.body == self._token + b"\0":
                return self._tell_token()
        elif op == Op.OPEN and request.node == self._known:
            return self._begin(request)
        elif op == Op.RELEASE and self._held is not None:
            self._end(request)
        if not self._pid or request.pid != self._pid:
            return None
        handler = self._handlers.get(op)
        return None if handler is None else handler(request)

    def _tell_token(self) -> bytes:
        node = self._made_up(self._share.nodes.root, self._token, _FILE)
        self._known = node.id
        return self._share.entry(node)

    def _begin(self, request: Request) -> bytes:
        share = self._share
        share.handles.check()
        self._held = share.handles.add(Handle(-1, share.nodes.get(request.node)))
        self._pid = request.pid
        return reply.open_out(self._held, Opened.DIRECT_IO)

    def _end(self, request: Request) -> None:
        if request.read(wire.RELEASE_IN)[0] == self._held:
            self._held, self._pid = None, 0

    # How names are seen

    def _path(self, folder: Node, name: bytes) -> Path:
        return *self._whole(folder), name

    def _look_up(self, request: Request) -> bytes | None:
        folder, name = self._share.nodes.get(request.node), request.name()
        above = self._share.nodes.names(folder)
        if above is None:
            return None
        view = self._pretences.view((*above, name), self._clock())
        if view is None:
            return None
        if view.sight is Sight.ABSENT:
            raise _nothing()
        return self._share.entry(self._seen(view, folder, name))

    def _seen(self, view: View, folder: Node, name: bytes) -> Node:
        """The node that the teller sees there; the guest is told of it."""
        nodes, item = self._share.nodes, view.item
        known = nodes.placed(folder, name)
        if known is not None and not _has_kind(known, view.folder):
            known = None
        if view.sight is Sight.TARGET:
            return nodes.tell(self._replaced(item, known), folder, name)
        if view.sight is Sight.GONE and known is not None:
            return nodes.tell(known, folder, name)
        found = self._find(item.to if view.sight is Sight.MOVED else self._path(folder, name))
        if found is not None and not _has_kind(found, view.folder):
            nodes.forget(found.id, 1)
            found = None
        if found is not None:
            nodes.place(found, folder, name)
        elif known is not None:
            found = nodes.tell(known, folder, name)
        else:
            is_folder = item.folder if view.folder is None else view.folder
            found = self._made_up(folder, name, _FOLDER if is_folder else _FILE)
        if view.sight is Sight.MOVED:
            self._moving[item.path] = found.id
        return found

    def _replaced(self, item: Item, known: Node | None) -> Node:
        """What was at the new name of a rename, before it: `known`, if that is not what was renamed."""
        nodes = self._share.nodes
        moved = self._find(item.to)
        if moved is not None:
            self._moving.setdefault(item.path, moved.id)
            nodes.forget(moved.id, 1)
        if known is None or moved is None or known is moved or not _is_alike(known, moved):
            raise _nothing()
        return known

    def _find(self, path: Path) -> Node | None:
        """What is at `path` on the host; the guest is told of it."""
        nodes = self._share.nodes
        at = nodes.root
        for name in path:
            try:
                found, _ = nodes.visit(at, name)
            except OSError:
                found = None
            if at is not nodes.root:
                nodes.forget(at.id, 1)
            if found is None:
                return None
            at = found
        return at

    def _made_up(self, folder: Node, name: bytes, kind: int) -> Node:
        nodes = self._share.nodes
        known = nodes.placed(folder, name)
        if known is not None and known.fd < 0 and known.kind == kind:
            return nodes.tell(known, folder, name)
        return nodes.make_up(kind, folder, name)

    # What is made

    def _create(self, request: Request) -> bytes:
        self._share.handles.check()
        flags, mode, _, _ = request.read(wire.CREATE_IN)
        found = self._made(request, Deed.CREATE, wire.CREATE_IN.size, stat.S_IFREG | mode & 0o7777)
        node = self._share.nodes.get(wire.NODE.unpack_from(found)[0])
        return found + self._pretend_open(node, flags)

    def _make_node(self, request: Request) -> bytes:
        mode, *_ = request.read(wire.MKNOD_IN)
        return self._made(request, Deed.CREATE, wire.MKNOD_IN.size, mode)

    def _make_folder(self, request: Request) -> bytes:
        return self._made(request, Deed.MKDIR, wire.MKDIR_IN.size, _FOLDER)

    def _make_link(self, request: Request) -> bytes:
        return self._made(request, Deed.SYMLINK, 0, stat.S_IFLNK)

    def _made(self, request: Request, deed: Deed, start: int, mode: int) -> bytes:
        """What the host has made, if it is there and of that type; else it is made up."""
        share, kind = self._share, stat.S_IFMT(mode)
        folder, name = share.nodes.get(request.node), checked(request.texts(start, 1)[0])
        path = self._path(folder, name)
        self._take((deed,), path)
        found = self._find(path)
        if found is not None:
            shown = share.owners.shown(share.nodes.path(found), os.fstat(found.fd))
            if stat.S_IFMT(shown.mode) == kind:
                share.nodes.place(found, folder, name)
                return share.entry(found)
            share.nodes.forget(found.id, 1)
        return share.entry(self._made_up(folder, name, kind))

    # What is removed and renamed

    def _unlink(self, request: Request) -> bytes:
        return self._removed(request, Deed.DELETE)

    def _remove_folder(self, request: Request) -> bytes:
        return self._removed(request, Deed.RMDIR)

    def _removed(self, request: Request, deed: Deed) -> bytes:
        folder, name = self._share.nodes.get(request.node), request.name()
        self._take((deed,), self._path(folder, name))
        self._share.nodes.vacate(folder, name)
        return b""

    def _rename(self, request: Request) -> bytes:
        nodes = self._share.nodes
        [number] = request.read(wire.NODE)
        start = wire.NODE.size if request.op == Op.RENAME else wire.RENAME2_IN.size
        old_name, new_name = map(checked, request.texts(start, 2))
        old_folder, new_folder = nodes.get(request.node), nodes.get(number)
        old, new = self._path(old_folder, old_name), self._path(new_folder, new_name)
        self._take((Deed.RENAME,), old, new)
        moved = self._moving.pop(old, None)
        if moved is not None and moved in nodes:
            nodes.place(nodes.get(moved), new_folder, new_name)
        return b""

    # What is changed

    def _open(self, request: Request) -> bytes | None:
        flags, _ = request.read(wire.OPEN_IN)
        if not is_writing(flags) and not flags & os.O_TRUNC:
            return None
        self._share.handles.check()
        node = self._share.nodes.get(request.node)
        self._take((Deed.MODIFY,), self._whole(node))
        return self._pretend_open(node, flags)

    def _pretend_open(self, node: Node, flags: int) -> bytes:
        handle = Handle(-1, node, writable=is_writing(flags))
        return reply.open_out(self._share.handles.add(handle), Opened.DIRECT_IO)

    def _write(self, request: Request) -> bytes:
        number, _, size, *_ = request.read(wire.WRITE_IN)
        if self._share.handles.file(number, writable=True).fd >= 0:
            raise _canceled()
        return wire.WRITE_OUT.pack(size, 0)

    def _set(self, request: Request) -> bytes:
        share = self._share
        valid, _, number, *_ = request.read(wire.SETATTR_IN)
        node = share.nodes.get(request.node)
        is_pretended = valid & Set.HANDLE and share.handles.get(number).fd < 0
        if not is_pretended:
            self._take((Deed.MODIFY if valid & Set.SIZE else Deed.ATTRIB,), self._whole(node))
        return reply.attributes_out(share.attributes(node), reply.AT_ONCE)

    def _whole(self, node: Node) -> Path:
        path = self._share.nodes.names(node)
        if path is None:
            raise _canceled()
        return path

    def _take(self, deeds: Sequence[Deed], path: Path, to: Path = ()) -> None:
        if self._pretences.take(deeds, path, self._clock(), to) is None:
            raise _canceled()


def _has_kind(node: Node, folder: bool | None) -> bool:
    return folder is None or (node.kind == _FOLDER) == folder


def _is_alike(one: Node, other: Node) -> bool:
    return (one.kind == _FOLDER) == (other.kind == _FOLDER)


def _refuse(_: Request) -> bytes:
    raise _canceled()


def _canceled() -> OSError:
    return OSError(errno.ECANCELED, "nothing like that is staged")


def _nothing() -> OSError:
    return OSError(errno.ENOENT, "not there yet")
