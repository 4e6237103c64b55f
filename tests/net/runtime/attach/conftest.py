"""An engine without machines, and what a machine may say to it."""

from collections.abc import Callable, Iterator

import pytest

from sampan.base.loop import Loop
from sampan.net.core.network import Network
from sampan.net.runtime.engine import Engine
from sampan.net.wire import address
from sampan.net.wire.arp import Arp, Operation
from sampan.net.wire.ethernet import EtherType, Frame

MAC = bytes.fromhex("020000000001")


class Clock:
    """Time that the test lets pass."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def engine(clock: Clock) -> Iterator[Engine]:
    made = Engine(Loop(), Network(prefix6=b""))
    made.loop.now = clock
    yield made
    made.close()
    made.loop.close()


@pytest.fixture
def question() -> bytes:
    """A frame that is answered: who has the gateway's address?"""
    packet = Arp(
        Operation.REQUEST, MAC, bytes([192, 168, 65, 3]), bytes(6), bytes([192, 168, 65, 1])
    )
    return Frame(address.BROADCAST_MAC, MAC, EtherType.ARP, packet.emit()).emit()


@pytest.fixture
def is_answer() -> Callable[[bytes], bool]:
    """Whether a frame answers `question`."""

    def check(frame: bytes) -> bool:
        return Arp.parse(Frame.parse(frame).payload).operation == Operation.REPLY

    return check


@pytest.fixture
def turns(engine: Engine) -> Callable[..., None]:
    """So many turns of the loop."""

    def go(count: int = 5) -> None:
        for _ in range(count):
            engine.loop.run_once(0)

    return go
