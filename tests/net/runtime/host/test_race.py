import socket
from contextlib import ExitStack

import pytest

from sampan.net.core.event import Refusal
from sampan.net.runtime.host import race as race_module
from sampan.net.runtime.host.dial import dial
from sampan.net.runtime.host.race import Address, Race, interleaved

SILENT = Address(socket.AF_INET, ("192.0.2.1", 80))
NOWHERE = Address(socket.AF_INET6, ("2001:db8::1", 80, 0, 0))


@pytest.fixture
def dialled(monkeypatch):
    """The addresses that were tried; nobody answers at SILENT, and there is no way to NOWHERE."""
    tried = []
    with ExitStack() as stack:

        def instead(family, address):
            tried.append(address)
            if address == NOWHERE.address:
                raise OSError(101, "Network is unreachable")
            if address != SILENT.address:
                return dial(family, address)
            full, other = map(stack.enter_context, socket.socketpair())
            other.setblocking(False)
            full.setblocking(False)
            while True:  # never ready to be written to
                try:
                    full.send(bytes(1 << 16))
                except BlockingIOError:
                    return full

        monkeypatch.setattr(race_module, "dial", instead)
        yield tried


@pytest.fixture
def run(net):
    """A race, and what came of it."""
    with ExitStack() as stack:

        def begin(*targets):
            outcome = []

            def won(connection):
                outcome.append(stack.enter_context(connection))

            made = Race(net.loop, targets, won, outcome.append)
            stack.callback(made.close)
            return made, outcome

        yield begin


def test_the_only_one(net, run, server):
    _, outcome = run(server.target)
    assert outcome == []
    net.until(lambda: outcome)
    assert outcome[0].getpeername() == server.target.address


def test_next_at_once_when_one_is_refused(net, run, server, closed, dialled):
    _, outcome = run(closed, server.target)
    net.until(lambda: outcome)
    assert outcome[0].getpeername() == server.target.address
    assert dialled == [closed.address, server.target.address]


def test_next_when_one_says_nothing(net, run, server, dialled):
    _, outcome = run(SILENT, server.target)
    net.settle()
    assert dialled == [SILENT.address]
    net.advance(race_module.DELAY_S)
    net.until(lambda: outcome)
    assert outcome[0].getpeername() == server.target.address


def test_no_way_is_passed_over(net, run, server, dialled):
    _, outcome = run(NOWHERE, server.target)
    net.until(lambda: outcome)
    assert dialled == [NOWHERE.address, server.target.address]
    assert outcome[0].getpeername() == server.target.address


def test_nobody(net, run, closed):
    assert run()[1] == [Refusal.HOST_UNREACHABLE]
    _, outcome = run(closed, closed)
    net.until(lambda: outcome)
    assert outcome == [Refusal.REFUSED]


def test_all_wait_for_the_silent_ones(net, run, closed, dialled):
    made, outcome = run(SILENT, closed, closed)
    net.advance(race_module.DELAY_S)
    net.until(lambda: len(dialled) == 3)
    net.settle()
    assert outcome == []
    made.close()
    net.advance(3600)
    assert outcome == []


def test_nothing_is_left(net, run, server, dialled, descriptors):
    before = descriptors()
    made, outcome = run(SILENT, SILENT, server.target)
    net.advance(race_module.DELAY_S)
    net.advance(race_module.DELAY_S)
    net.until(lambda: outcome)
    made.close()
    made.close()
    [won] = outcome
    won.close()
    assert descriptors() - before == 2  # the other ends of the silent ones
    net.advance(3600)
    assert len(dialled) == 3


def test_too_many(net, run, dialled):
    made, outcome = run(*[NOWHERE] * 1000)
    assert len(dialled) == race_module.MAX_TARGETS
    assert outcome == [Refusal.NETWORK_UNREACHABLE]
    made.close()


def test_families_take_turns():
    six = [Address(socket.AF_INET6, (f"2001:db8::{n}", 80, 0, 0)) for n in range(3)]
    four = [Address(socket.AF_INET, (f"192.0.2.{n}", 80)) for n in range(2)]
    mixed = [six[0], four[0], six[1], four[1], six[2]]
    assert interleaved([*six, *four]) == mixed
    assert interleaved([six[0], *four, *six[1:]]) == mixed
    assert interleaved(four) == four
    assert interleaved([]) == []
