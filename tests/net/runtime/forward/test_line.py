"""Where sessions with a machine's forwarder come from."""

import socket
import threading
from contextlib import suppress
from typing import Any

import pytest

from sampan.errors import SampanError
from sampan.net.runtime.forward import line as line_
from sampan.net.runtime.forward.line import MAX_WAITING, PATIENCE_S, Dialled, Held


class Dial:
    """What a line dials; each of `outcomes` is a stream to give or an error to raise."""

    def __init__(self):
        self.outcomes: list[Any] = []
        self.calls = 0
        self.may = threading.Event()
        self.may.set()

    def __call__(self):
        self.may.wait(60)
        self.calls += 1
        outcome = self.outcomes.pop(0) if self.outcomes else SampanError("nobody listens")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@pytest.fixture
def dial():
    return Dial()


@pytest.fixture
def line(net, dial):
    made = Dialled(net.loop, dial)
    net.closing.append(made.close)
    return made


@pytest.fixture
def streams():
    """Makes streams; the other ends are kept in the list that is returned."""
    ours: list[socket.socket] = []
    theirs: list[socket.socket] = []

    def make():
        pair = socket.socketpair()
        ours.append(pair[0])
        theirs.append(pair[1])
        return pair[0]

    yield make, theirs
    for each in ours + theirs:
        each.close()


def test_a_stream_that_is_held(net, streams):
    make, theirs = streams
    line = Held(net.loop, make())
    told: list[Any] = []
    found: list[Any] = []
    line.when_over(told.append)
    line.want(found.append)
    assert found[0] is not None
    theirs[0].close()
    net.until(lambda: told)
    assert line.is_over
    line.want(found.append)
    assert found[1] is None
    line.close()
    assert len(told) == 1


def test_one_dialling_for_all_who_want(net, line, dial, streams):
    make, _ = streams
    dial.outcomes = [make()]
    dial.may.clear()
    found: list[Any] = []
    for _ in range(3):
        line.want(found.append)
    assert found == []
    dial.may.set()
    net.until(lambda: len(found) == 3)
    line.want(found.append)
    assert len(set(found)) == 1
    assert None not in found
    assert dial.calls == 1


def test_dialled_again_when_the_session_was_lost(net, line, dial, streams):
    make, theirs = streams
    dial.outcomes = [make(), make()]
    found: list[Any] = []
    line.want(found.append)
    net.until(lambda: found)
    theirs[0].close()
    net.until(lambda: found[0].is_over)
    assert not line.is_over
    line.want(found.append)
    net.until(lambda: len(found) == 2)
    assert not found[1].is_over


@pytest.mark.parametrize("error", [SampanError("nobody listens"), OSError(111, "refused")])
def test_tried_again(net, line, dial, streams, monkeypatch, error):
    make, _ = streams
    monkeypatch.setattr(line_, "RETRY_S", 0.0)
    dial.outcomes = [error, error, make()]
    found: list[Any] = []
    line.want(found.append)
    net.until(lambda: found)
    assert found[0] is not None
    assert dial.calls == 3


def test_not_for_ever(net, line, dial):
    found: list[Any] = []
    line.want(found.append)
    net.until(lambda: dial.calls == 1)
    net.advance(PATIENCE_S + 1)
    net.until(lambda: found)
    assert found == [None]
    line.want(found.append)  # and who comes later makes it try anew
    net.until(lambda: dial.calls >= 3)


def test_not_for_everybody(net, line, dial):
    dial.may.clear()
    found: list[Any] = []
    for _ in range(MAX_WAITING + 1):
        line.want(found.append)
    assert found == [None]
    dial.may.set()


def test_closed_while_it_is_dialled(net, line, dial, streams):
    make, theirs = streams
    dial.outcomes = [make()]
    dial.may.clear()
    found: list[Any] = []
    line.want(found.append)
    line.close()
    assert found == [None]
    dial.may.set()
    theirs[0].setblocking(False)

    def ended():
        with suppress(BlockingIOError):
            return theirs[0].recv(1) == b""

    net.until(ended)
    assert line.is_over
    line.want(found.append)
    assert found == [None, None]
