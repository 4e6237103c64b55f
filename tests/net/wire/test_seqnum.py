from hypothesis import given
from hypothesis import strategies as st

from sampan.net.wire import seqnum

numbers = st.integers(0, seqnum.MASK)
near = st.integers(-(2**31) + 1, 2**31 - 1)


@given(numbers, near)
def test_distance_undoes_add_across_the_wrap(start: int, amount: int) -> None:
    assert seqnum.distance(start, seqnum.add(start, amount)) == amount


@given(numbers, near)
def test_order_follows_the_distance(start: int, amount: int) -> None:
    end = seqnum.add(start, amount)
    assert seqnum.before(start, end) == (amount > 0)
    assert seqnum.at_most(start, end) == (amount >= 0)
    assert seqnum.latest(start, end) == (end if amount > 0 else start)


def test_the_wrap_itself() -> None:
    assert seqnum.add(0xFFFFFFFF, 1) == 0
    assert seqnum.before(0xFFFFFFFF, 0)
    assert not seqnum.before(0, 0xFFFFFFFF)
