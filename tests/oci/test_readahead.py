import threading

import pytest

from sampan.oci.readahead import ReadAhead


def test_items_arrive_in_order():
    with ReadAhead(iter(range(100)), depth=2) as items:
        assert list(items) == list(range(100))
        assert next(items, None) is None


def test_what_the_source_raises_is_raised_here():
    def source():
        yield 1
        raise ValueError("broken")

    with ReadAhead(source()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)
        assert list(items) == []


def test_the_source_runs_elsewhere_and_at_most_so_far_ahead():
    names, given = set(), []

    def source():
        for number in range(50):
            names.add(threading.current_thread().name)
            given.append(number)
            yield number

    with ReadAhead(source(), depth=3) as items:
        for number in items:
            assert len(given) <= number + 1 + 3 + 2
    assert names == {"sampan-readahead"}


def test_leaving_early_ends_the_thread():
    def forever():
        while True:
            yield b"x"

    before = threading.active_count()
    with ReadAhead(forever(), depth=2) as items:
        next(items)
    assert threading.active_count() == before
