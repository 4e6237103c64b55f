"""What a guest sees of owners and modes: the host's own, or those of records beside the files."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from sampan.vhost.core.fuse import record as records
from sampan.vhost.core.fuse.record import Host
from sampan.vhost.core.fuse.reply import Owner

_BITS = 0o7777
_REGULAR = stat.S_IFREG >> 12  # as folders have it
_LOOK = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEVER = (stat.S_IFCHR, stat.S_IFBLK)
_CAPABILITY = records.FOREIGN + b"security.capability"  # Linux takes it away, too
_NO_RECORD = (errno.ENODATA, errno.ENOTSUP, errno.EPERM, errno.EACCES)


class Owners(Protocol):
    """Whose files they are, and what may be done with them. A `path` leads to its file alone."""

    def shown(self, path: str, status: os.stat_result) -> Owner:
        """What the guest sees of a file."""

    def listed(self, folder: int, name: bytes, kind: int) -> int:
        """The type (DT_REG ...) that the guest sees of a folder's entry, which the host says is `kind`."""

    def first(self, mode: int) -> int:
        """The mode, with its type, that a new file is to have on the host before `created`.

        Raises:
            OSError: EPERM, such a file cannot be made.
        """

    def created(self, path: str, status: os.stat_result, new: Owner, folder: Owner) -> None:
        """A file was made, in `folder`: the guest is to see it so.

        Raises:
            OSError: it cannot be.
        """

    def change(
        self, path: str, status: os.stat_result, mode: int | None, uid: int | None, gid: int | None
    ) -> None:
        """Change what is not None.

        Raises:
            OSError: it cannot be.
        """

    def kill_privileges(self, path: str, status: os.stat_result) -> None:
        """Somebody wrote to the file: it is no longer setuid, or setgid."""

    def on_host(self, name: bytes) -> bytes | None:
        """What the host calls an extended attribute; None: there can be none of that name."""

    def in_guest(self, name: bytes) -> bytes | None:
        """What the guest calls one; None: it does not see it."""


class HostOwners:
    """The host's owners, for a server that is root.

    Extended attributes that are trusted are those of the guest's root, not of the host's.
    """

    def shown(self, path: str, status: os.stat_result) -> Owner:
        """See `Owners.shown`."""
        device = status.st_rdev
        if device:
            device = records.pack_device(os.major(device), os.minor(device))
        return Owner(status.st_mode, status.st_uid, status.st_gid, device)

    def listed(self, folder: int, name: bytes, kind: int) -> int:
        """See `Owners.listed`."""
        return kind

    def first(self, mode: int) -> int:
        """See `Owners.first`: no devices, whose files would be the host's."""
        if stat.S_IFMT(mode) in _NEVER:
            raise OSError(errno.EPERM, "devices are the host's")
        return mode & ~0o7000

    def created(self, path: str, status: os.stat_result, new: Owner, folder: Owner) -> None:
        """See `Owners.created`."""
        new, gid = _inherited(new, folder), new.gid
        if folder.mode & stat.S_ISGID:
            gid = status.st_gid
        if (status.st_uid, status.st_gid) != (new.uid, gid):
            _chown(path, new.uid, gid)
        if not stat.S_ISLNK(new.mode) and new.mode & _BITS != status.st_mode & _BITS:
            Path(path).chmod(new.mode & _BITS)

    def change(
        self, path: str, status: os.stat_result, mode: int | None, uid: int | None, gid: int | None
    ) -> None:
        """See `Owners.change`."""
        if uid is not None or gid is not None:
            _chown(path, -1 if uid is None else uid, -1 if gid is None else gid)
        if mode is not None:
            Path(path).chmod(mode & _BITS)

    def kill_privileges(self, path: str, status: os.stat_result) -> None:
        """See `Owners.kill_privileges`."""
        mode = records.without_privileges(status.st_mode)
        if mode != status.st_mode:
            Path(path).chmod(mode & _BITS)

    def on_host(self, name: bytes) -> bytes | None:
        """See `Owners.on_host`."""
        return name if name.startswith(b"security.") else records.on_host(name)

    def in_guest(self, name: bytes) -> bytes | None:
        """See `Owners.in_guest`."""
        return name if name.startswith(b"security.") else records.in_guest(name)


class RecordedOwners:
    """Owners of records (see `record`), for any user."""

    def __init__(self) -> None:
        self._user = os.geteuid()

    def _host(self, status: os.stat_result) -> Host:
        return Host(status.st_mode, status.st_uid == self._user)

    def shown(self, path: str, status: os.stat_result) -> Owner:
        """See `Owners.shown`."""
        return records.shown(self._host(status), _read(path, status))

    def listed(self, folder: int, name: bytes, kind: int) -> int:
        """See `Owners.listed`: an empty file may stand for a FIFO, socket or device."""
        if kind != _REGULAR:
            return kind
        with suppress(OSError):  # gone, or not to be read: what the host says will do
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_size == 0:
                fd = os.open(name, _LOOK, dir_fd=folder)
                try:
                    record = records.parse(os.getxattr(fd, records.NAME))
                finally:
                    os.close(fd)
                if record is not None and records.fits(stat.S_IFREG, record.mode):
                    return stat.S_IFMT(record.mode) >> 12
        return kind

    def first(self, mode: int) -> int:
        """See `Owners.first`."""
        return records.kept(mode)

    def created(self, path: str, status: os.stat_result, new: Owner, folder: Owner) -> None:
        """See `Owners.created`."""
        host = self._host(status)
        if not _may_have_record(status) or (not host.ours and new.uid == 0):
            return
        new = _inherited(new, folder)
        if records.shown(host, None) != new:
            self._keep(path, status, new)

    def change(
        self, path: str, status: os.stat_result, mode: int | None, uid: int | None, gid: int | None
    ) -> None:
        """See `Owners.change`: a link's owner stays what it is, whatever it is to be."""
        if stat.S_ISLNK(status.st_mode):
            return
        now = self.shown(path, status)
        if mode is not None:
            bits = mode & _BITS
        else:
            bits = now.mode & _BITS
            if uid is not None or gid is not None:
                bits = records.without_privileges(now.mode) & _BITS
        if (uid is not None or gid is not None) and stat.S_ISREG(status.st_mode):
            _remove(path, _CAPABILITY)
        new = Owner(
            stat.S_IFMT(now.mode) | bits, now.uid if uid is None else uid,
            now.gid if gid is None else gid, now.device,
        )  # fmt: skip
        if new != now:
            self._keep(path, status, new)

    def kill_privileges(self, path: str, status: os.stat_result) -> None:
        """See `Owners.kill_privileges`."""
        _remove(path, _CAPABILITY)
        now = self.shown(path, status)
        mode = records.without_privileges(now.mode)
        if mode != now.mode:
            self._keep(path, status, now._replace(mode=mode))

    def _keep(self, path: str, status: os.stat_result, new: Owner) -> None:
        ours = self._host(status).ours
        if not _may_have_record(status) or not ours:
            raise OSError(errno.EPERM, "its owner cannot be changed")
        mode = records.kept(new.mode)
        try:
            if records.needed(new):
                os.setxattr(path, records.NAME, records.emit(new))
            else:
                _remove(path, records.NAME)
        except OSError as error:
            if error.errno != errno.ENOTSUP:
                raise
            mode = new.mode  # no records here: then the host's own mode is all there is
            if records.default(Host(mode, ours=True)) != new or mode & ~0o777 & _BITS:
                raise OSError(errno.EPERM, "its file system keeps no attributes") from None
        if mode & 0o777 != status.st_mode & _BITS:
            Path(path).chmod(mode & 0o777)

    def on_host(self, name: bytes) -> bytes | None:
        """See `Owners.on_host`."""
        return records.on_host(name)

    def in_guest(self, name: bytes) -> bytes | None:
        """See `Owners.in_guest`."""
        return records.in_guest(name)


def _chown(path: str, uid: int, gid: int) -> None:
    try:
        os.chown(path, uid, gid)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # a user namespace that has no such owner
        raise PermissionError(errno.EPERM, "the host lets it belong to nobody else") from None


def _may_have_record(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)


def _read(path: str, status: os.stat_result) -> Owner | None:
    if not _may_have_record(status):
        return None
    try:
        return records.parse(os.getxattr(path, records.NAME))
    except OSError as error:
        if error.errno not in _NO_RECORD:
            raise
        return None


def _remove(path: str, name: bytes) -> None:
    with suppress(OSError):  # there is none, or there can be none
        os.removexattr(path, name)


def _inherited(new: Owner, folder: Owner) -> Owner:
    """What a new file in a setgid folder has of it: the group, and as a folder, setgid."""
    if not folder.mode & stat.S_ISGID:
        return new
    inherits = stat.S_ISGID if stat.S_ISDIR(new.mode) else 0
    return new._replace(gid=folder.gid, mode=new.mode | inherits)
