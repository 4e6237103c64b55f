import math
from functools import partial
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from sampan.net.core.ledger import Ledger
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network


@pytest.fixture
def ledger():
    return Ledger(Network(), Limits(buffers_total=1), bytes, lambda *_: None)


def flow():
    return SimpleNamespace(armed=math.inf, unblocked=0)


def test_timers_come_in_order(ledger):
    flows = [flow() for _ in range(3)]
    for each, when in zip(flows, (3.0, 1.0, 2.0), strict=True):
        ledger.arm(each, when)
    assert ledger.next_timer() == 1.0
    assert ledger.due(2.5) == [flows[1], flows[2]]
    assert ledger.due(2.5) == []
    assert ledger.next_timer() == 3.0


def test_only_the_earliest_counts(ledger):
    one = flow()
    ledger.arm(one, 5.0)
    ledger.arm(one, 9.0)
    ledger.arm(one, 3.0)
    assert len(ledger.timers) == 2
    assert ledger.due(4.0) == [one]
    assert ledger.due(10.0) == []
    assert ledger.next_timer() == math.inf


def test_what_is_disarmed_is_not_kept(ledger):
    """Connections may be short and many, and their last deadlines far away."""
    lasting = flow()
    ledger.arm(lasting, 500.0)
    for number in range(10_000):
        short = flow()
        ledger.arm(short, 600.0 + number)
        ledger.arm(short, 130.0)
        ledger.disarm(short)
        ledger.disarm(short)
        assert len(ledger.timers) < 600
    assert ledger.due(700.0) == [lasting]
    assert ledger.due(1e9) == []
    assert ledger.timers == []
    assert ledger.stale == 0


def test_as_many_starved_flows_are_fed_as_there_are_buffers(ledger):
    fed: list[int] = []
    ledger.pool.bound = 2
    for number in range(3):
        ledger.starved[Mock(unblock=partial(fed.append, number))] = None
    buffers = []
    for _ in range(2):
        buffers.append(ledger.pool.spare())
        ledger.pool.keep(buffers[-1])
    ledger.feed()
    assert fed == []
    ledger.pool.give_back(buffers[0])
    ledger.feed()
    assert fed == [0]
    ledger.pool.give_back(buffers[1])
    ledger.feed()  # nobody has taken the first one yet
    assert fed == [0, 1, 2]
    assert not ledger.starved
