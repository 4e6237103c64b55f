"""A share, served to this host's own kernel through /dev/fuse: SOURCE TARGET OWNERS [ro].

The kernel's requests come from a descriptor instead of a ring; all else is as for a guest. Stdin
is the control socket. Says `ready` when the share is mounted, and ends when it is unmounted.
"""

import ctypes
import errno
import os
import socket
import sys
import time
from pathlib import Path

from sampan.base.loop import Loop
from sampan.base.poller import READ
from sampan.vhost.core.fuse.wire import MAX_REQUEST
from sampan.vhost.runtime.fuse.control import Control
from sampan.vhost.runtime.fuse.owner import HostOwners, RecordedOwners
from sampan.vhost.runtime.fuse.server import Server
from sampan.vhost.runtime.fuse.share import Setting, raise_limit, share
from sampan.vhost.runtime.fuse.teller import Teller

ANSWER = 2 << 20
GONE = (errno.ENOENT, errno.EINTR, errno.EAGAIN)  # whoever asked was interrupted


def mount(target):
    fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other"
    library = ctypes.CDLL(None, use_errno=True)
    words = (b"sampan", target.encode(), b"fuse", ctypes.c_ulong(0), options.encode())
    if library.mount(*words):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd


class Device:
    """A guest's device, except that its guest is here."""

    def __init__(self, loop, fd, server):
        self.loop = loop
        self.fd = fd
        self.server = server
        self.question = memoryview(bytearray(MAX_REQUEST))
        self.room = memoryview(bytearray(ANSWER))
        loop.watch(fd, READ, self.asked)

    def asked(self, _):
        try:
            size = os.readv(self.fd, [self.question])
            answered = self.server.handle([self.question[:size]], [self.room[:16], self.room[16:]])
            if answered:
                os.write(self.fd, self.room[:answered])
        except OSError as error:
            if error.errno not in GONE:
                self.loop.stop()  # it was unmounted


def main():
    source, target, owners, *more = sys.argv[1:]
    os.umask(0)
    kept = HostOwners() if owners == "host" else RecordedOwners()
    served = share(Path(source), kept, Setting(read_only="ro" in more), raise_limit())
    loop, teller = Loop(), Teller(served, time.monotonic)
    Control(loop, socket.socket(fileno=0), teller, lambda _: False, lambda: None)
    Device(loop, mount(target), Server(served, teller=teller))
    os.write(1, b"ready\n")
    loop.run()


if __name__ == "__main__":
    main()
