"""A machine's forwarder at the other end of a stream, made of the pure session."""

import socket
from contextlib import suppress

import pytest

from sampan.net.link import session
from sampan.net.link.multiplex import Destination
from sampan.net.link.session import Event, Session, Side


class Guest:
    """What a machine's forwarder hears; it does only what a test tells it to."""

    def __init__(self, net):
        self._net = net
        self.theirs, self.stream = socket.socketpair()
        self.stream.setblocking(False)
        self.session = Session(Side.MACHINE)
        self.is_reading = True
        self.is_over = False
        self.channels: list[int] = []
        self.destinations: list[Destination] = []
        self.data: dict[int, bytearray] = {}
        self.events: list[Event] = []  # all but Received
        self._unsent = b""

    def poll(self):
        """Send what there is, hear what came."""
        self._unsent += self.session.data_to_send()
        with suppress(BlockingIOError, BrokenPipeError):
            while self._unsent:
                self._unsent = self._unsent[self.stream.send(self._unsent) :]
        with suppress(BlockingIOError):
            while self.is_reading and not self.is_over:
                data = self.stream.recv(1 << 16)
                self.is_over = not data
                for event in self.session.data_received(data):
                    self._heard(event)
        return True

    def _heard(self, event):
        match event:
            case session.Opened(channel, destination):
                self.channels.append(channel)
                self.destinations.append(destination)
                self.data[channel] = bytearray()
            case session.Received(channel, data):
                self.data[channel] += data
            case _:
                self.events.append(event)

    def until(self, condition):
        self._net.until(lambda: self.poll() and condition())

    def channel(self, number=0):
        self.until(lambda: len(self.channels) > number)
        return self.channels[number]

    def send_all(self, channel, data):
        """All of it, as the windows allow."""
        left = memoryview(data)

        def sent():
            nonlocal left
            left = left[self.session.send(channel, left) :]
            return not left

        self.until(sent)

    def raw(self, data):
        """Say something, whatever it means."""
        self.poll()
        self.stream.send(data)

    def close(self):
        self.stream.close()


@pytest.fixture
def guest(net):
    made = Guest(net)
    yield made
    made.close()
