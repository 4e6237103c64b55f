"""What a share server does without, once it has opened what it needs.

The server never follows a name out of its folder, whatever the guest asks. All the same it is
shut in: its root becomes the folder itself, in namespaces of its own (as a user without
privileges it needs a user namespace for that; there it also has power over all files of that
user, whatever their modes are, as root has over all). Where the host allows none, it goes
without. Of root's capabilities those are left that are about files. Nothing can be imported
afterwards.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from sampan.base import log
from sampan.vhost.runtime.fuse import call

_log = log.get(__name__)
_NEW_MOUNTS, _NEW_USER = 0x20000, 0x10000000
_NO_NEW_PRIVILEGES = 38
_FILES = "/proc/self/fd"
# CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID, SETFCAP
_KEPT = (0, 1, 2, 3, 4, 31)
HERE = ""  # where descriptors are names, once this is done: in the current folder


def confine(source: Path) -> bool:
    """Shut this process, which must have but one thread, into `source`; whether that was possible.

    Either way its current folder is the one of its descriptors (`HERE`).

    Raises:
        OSError: there is no /proc.
    """
    call.set_process(_NO_NEW_PRIVILEGES, 1)
    try:
        _unshare()
    except OSError as error:
        _log.info("the server of %s has no namespaces of its own: %s", source, error)
        os.chdir(_FILES)
        return False
    os.chdir(_FILES)  # as it is in this user namespace
    done = _change_root(source)
    if os.geteuid() == 0:  # perhaps only in this namespace
        with suppress(PermissionError):  # it has not even those
            call.keep_capabilities(sum(1 << number for number in _KEPT))
    return done


def _unshare() -> None:
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        call.unshare(_NEW_MOUNTS)
        return
    call.unshare(_NEW_USER | _NEW_MOUNTS)
    with suppress(OSError):  # before Linux 3.19 there is no such file
        Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {user} 1")
    Path("/proc/self/gid_map").write_text(f"0 {group} 1")


def _change_root(source: Path) -> bool:
    files = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        call.make_root(str(source.resolve()))
    except OSError as error:
        _log.info("the server of %s keeps the host's root: %s", source, error)
        return False
    finally:
        os.fchdir(files)
        os.close(files)
    return True
