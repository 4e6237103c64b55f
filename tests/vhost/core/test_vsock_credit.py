"""Counters that wrap, and never promise what is not there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core.vsock_credit import Inflow, Outflow

NUMBER = st.integers(0, 2**32 - 1)


def test_what_may_be_sent():
    flow = Outflow()
    assert flow.room == 0
    flow.told(1000, 0)
    flow.sent(600)
    assert flow.room == 400
    flow.told(1000, 500)
    assert flow.room == 900
    flow.told(50, 500)  # it has shrunk its buffer
    assert flow.room == 0


@given(NUMBER, NUMBER, NUMBER)
def test_whatever_is_told_there_is_never_more_room_than_the_buffer(allocated, forwarded, sent):
    flow = Outflow()
    flow.told(allocated, forwarded)
    flow.sent(sent)
    assert 0 <= flow.room <= allocated


@given(st.lists(st.integers(1, 2**31), min_size=1, max_size=20))
def test_both_sides_agree_whenever_counters_wrap(sizes):
    outflow, inflow = Outflow(), Inflow(2**31)
    for size in sizes:
        outflow.told(inflow.buffer, inflow.forwarded)
        assert outflow.room == 2**31
        outflow.sent(size)
        assert inflow.arrived(size)
        inflow.passed_on(size)


def test_more_than_there_was_room_for():
    flow = Inflow(100)
    assert flow.arrived(60)
    assert flow.arrived(40)
    assert not flow.arrived(1)


@pytest.mark.parametrize("theirs", [100, 10_000])
def test_room_is_told_before_it_runs_out(theirs):
    flow = Inflow(100)
    flow.arrived(100)
    flow.passed_on(25)
    early = flow.is_due(theirs)
    flow.passed_on(1)
    due = flow.is_due(theirs)
    flow.promised()
    assert (early, due, flow.is_due(theirs)) == (False, True, False)


@given(st.integers(0, 300), st.lists(st.integers(1, 300), min_size=1))
def test_a_driver_that_sends_no_more_than_it_would_take_itself_is_never_stuck(theirs, sizes):
    flow = Inflow(200)
    window, sent, told = min(200, theirs), 0, 0
    for size in sizes:
        part = min(size, window - (sent - told))
        assert part > 0 or window == 0
        sent += part
        flow.passed_on(part)
        if flow.is_due(theirs):
            flow.promised()
            told = sent
