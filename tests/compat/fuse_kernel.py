"""A share, served to this host's own kernel through /dev/fuse: SOURCE TARGET OWNERS [ro].

The kernel's requests come from a descriptor instead of a ring; all else is as for a guest.
Says `ready` when the share is mounted, and ends when it is unmounted.
"""

import ctypes
import errno
import os
import sys
from pathlib import Path

from sampan.vhost.core.fuse.wire import MAX_REQUEST
from sampan.vhost.runtime.fuse.owner import HostOwners, RecordedOwners
from sampan.vhost.runtime.fuse.server import Server
from sampan.vhost.runtime.fuse.share import Setting, raise_limit, share

ANSWER = 2 << 20


def mount(target):
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    library = ctypes.CDLL(None, use_errno=True)
    words = (b"sampan", target.encode(), b"fuse", ctypes.c_ulong(0), options.encode())
    if library.mount(*words):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


def serve(fd, server):
    question, room = memoryview(bytearray(MAX_REQUEST)), memoryview(bytearray(ANSWER))
    while True:
        try:
            size = os.readv(fd, [question])
        except OSError as error:
            if error.errno == errno.ENODEV:  # it was unmounted
                return
            if error.errno in (errno.ENOENT, errno.EINTR):  # interrupted in between
                continue
            raise
        answered = server.handle([question[:size]], [room[:16], room[16:]])
        if answered:
            try:
                os.write(fd, room[:answered])
            except OSError as error:
                if error.errno != errno.ENOENT:  # whoever asked was interrupted
                    raise


def main():
    source, target, owners, *more = sys.argv[1:]
    os.umask(0)
    kept = HostOwners() if owners == "host" else RecordedOwners()
    setting = Setting(read_only="ro" in more, cache_s=0.0 if "now" in more else 1.0)
    served = share(Path(source), kept, setting, raise_limit())
    fd = mount(target)
    os.write(1, b"ready\n")
    serve(fd, Server(served))


if __name__ == "__main__":
    main()
