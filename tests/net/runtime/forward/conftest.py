"""A machine's forwarder at the other end of a stream, made of the pure session; and clients."""

import socket
from contextlib import suppress

import pytest

from sampan.net.link import session
from sampan.net.link.multiplex import Destination
from sampan.net.link.session import Event, Session, Side
from sampan.net.runtime.forward.line import Held
from sampan.net.runtime.forward.multiplexed import MultiplexedForwards
from sampan.net.services.forward import Forward


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
    made.theirs.close()  # if the test had no use for it


class Client:
    """A connection to a forward."""

    def __init__(self, guest, address):
        self._guest = guest
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(address)
        self.socket.setblocking(False)
        self.data = bytearray()
        self.is_ended = False

    def poll(self):
        try:
            data = self.socket.recv(1 << 16)
        except BlockingIOError:
            return True
        self.data += data
        self.is_ended = not data
        return True

    def ended(self):
        """All that came until the end."""
        self._guest.until(lambda: self.poll() and self.is_ended)
        return bytes(self.data)

    def send_all(self, data):
        left = memoryview(data)

        def sent():
            nonlocal left
            try:
                left = left[self.socket.send(left) :]
            except BlockingIOError:
                return False
            return not left

        self._guest.until(sent)


@pytest.fixture
def lost():
    return []


@pytest.fixture
def forwards(net, guest, lost):
    made = MultiplexedForwards(net.loop, Held(net.loop, guest.theirs), over=lost.append)
    net.closing.append(made.close)
    return made


@pytest.fixture
def reach(guest):
    """Connects to a forward."""
    made = []

    def reach(forward):
        made.append(Client(guest, forward.path or (forward.bind, forward.port)))
        return made[-1]

    yield reach
    for each in made:
        each.socket.close()


@pytest.fixture
def connect(forwards, reach):
    """Connects to a forward of `forwards`, which it makes if none is given."""
    return lambda forward=None: reach(forward or forwards.expose(Forward(guest_port=80)))
