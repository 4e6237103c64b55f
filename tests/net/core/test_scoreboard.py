from hypothesis import given
from hypothesis import strategies as st

from sampan.net.core.scoreboard import MAX_RANGES, Scoreboard
from sampan.net.wire import seqnum

UNA = 0xFFFFFFC0
SIZE = 200
spans = st.lists(st.tuples(st.integers(-20, SIZE + 20), st.integers(-20, SIZE + 20)), max_size=12)


def at(offset):
    return seqnum.add(UNA, offset)


@given(spans, st.integers(0, SIZE))
def test_against_a_set_of_numbers(blocks, moved):
    """A scoreboard is a set of numbers; this one is kept as a set."""
    board, model = Scoreboard(UNA), set()
    for low, high in blocks:
        board.add([(at(low), at(high))], at(SIZE))
        if 0 <= low < high <= SIZE:
            model |= set(range(low, high))
    board.advance(at(moved))
    model = {each for each in model if each >= moved}
    assert board.size == len(model)
    assert board.highest == at(max(model) + 1 if model else moved)
    assert board.size_before(at(moved + 50)) == sum(each < moved + 50 for each in model)
    missing = [each for each in range(moved, SIZE) if each not in model]
    hole = board.hole(at(moved), at(SIZE))
    if not missing:
        assert hole is None
    else:
        assert hole[0] == at(missing[0])
        end = missing[0]
        while end < SIZE and end not in model:
            end += 1
        assert hole[1] == at(end)


def test_ranges_are_bounded():
    board = Scoreboard(0)
    for number in range(10 * MAX_RANGES):
        board.add([(number * 10 + 5, number * 10 + 6)], 100_000)
    assert len(board.ranges) == MAX_RANGES
    board.clear()
    assert board.size == 0
    assert board.highest == 0
