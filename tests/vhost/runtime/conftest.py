"""A front-end at the other end of a socket, with memory that is really shared."""

import gc
import mmap
import os
import select
import socket
from contextlib import suppress
from pathlib import Path

import pytest

from sampan.vhost.core.message import HEADER, Request


class Loop:
    """The least loop that does. `run_dry` handles what is ready now."""

    def __init__(self):
        self.callbacks = {}
        self.soon = []
        self._poll = select.epoll()

    def watch(self, fd, events, callback):
        self._poll.register(fd, events)
        self.callbacks[fd] = callback

    def unwatch(self, fd):
        if self.callbacks.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def call_soon(self, callback):
        self.soon.append(callback)

    def run_dry(self):
        """Everything that is ready, until nothing is."""
        while (ready := self._poll.poll(0)) or self.soon:
            for fd, events in ready:
                if fd in self.callbacks:
                    self.callbacks[fd](events)
            soon, self.soon = self.soon, []
            for callback in soon:
                callback()

    def close(self):
        self._poll.close()


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


class FrontEnd:
    """Speaks to a backend as QEMU does. Its memory is a memfd of a `Guest`'s size."""

    def __init__(self, loop, connection, guest_class, words, *, event_index=True, size=8):
        self.loop = loop
        self.socket = connection
        self.words = words
        self.fd = os.memfd_create("machine", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
        os.ftruncate(self.fd, guest_class.SIZE)
        self.mapped = mmap.mmap(self.fd, guest_class.SIZE)
        self.guest = guest_class(size, event_index=event_index, memory=memoryview(self.mapped))
        driver_class = type(self.guest.driver)
        other = driver_class(self.guest.memory, 0x4000, size, event_index=event_index)
        self.drivers = (self.guest.driver, other)
        self.kicks = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(2)]
        self.calls = [os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC) for _ in range(2)]

    def say(self, request, payload=b"", fds=(), flags=1):
        socket.send_fds(self.socket, [self.words.request(request, payload, flags=flags)], fds)
        self.loop.run_dry()

    def answer(self):
        """The number in the answer."""
        data = self.socket.recv(100, socket.MSG_DONTWAIT)
        return int.from_bytes(data[HEADER.size :], "little")

    def share_memory(self):
        row = (0, self.guest.SIZE, self.words.user, 0)
        self.say(Request.SET_MEM_TABLE, self.words.table(row), [self.fd])

    def start(self, features, *, enable=True):
        number, state = self.words.number, self.words.state
        self.say(Request.SET_FEATURES, number(features))
        self.share_memory()
        for index, driver in enumerate(self.drivers):
            self.say(Request.SET_VRING_NUM, state(index, driver.size))
            self.say(Request.SET_VRING_ADDR, self.words.addresses(index, driver))
            self.say(Request.SET_VRING_KICK, number(index), [self.kicks[index]])
            self.say(Request.SET_VRING_CALL, number(index), [self.calls[index]])
            if enable:
                self.say(Request.SET_VRING_ENABLE, state(index, 1))
        for index in range(len(self.drivers)):
            self.was_called(index)

    def kick(self, index):
        os.eventfd_write(self.kicks[index], 1)
        self.loop.run_dry()

    def was_called(self, index):
        """How often the driver was notified since the last time."""
        try:
            return os.eventfd_read(self.calls[index])
        except BlockingIOError:
            return 0

    def is_connected(self):
        try:
            return self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def close(self):
        self.socket.close()
        for fd in (self.fd, *self.kicks, *self.calls):
            os.close(fd)
        del self.guest, self.drivers
        with suppress(BufferError):
            self.mapped.close()


@pytest.fixture
def new_front_end(loop, guest_class, words):
    made = []

    def new(connection, **options):
        made.append(FrontEnd(loop, connection, guest_class, words, **options))
        return made[-1]

    yield new
    for each in made:
        each.close()


@pytest.fixture
def open_fds():
    """How many descriptors this process has."""

    def count():
        gc.collect()  # what other tests left
        return len(list(Path("/proc/self/fd").iterdir()))

    return count
