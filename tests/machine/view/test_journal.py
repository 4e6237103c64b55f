import asyncio

import pytest

from sampan.machine.model import End, Ending
from sampan.machine.qmp import Notice
from sampan.machine.view.event import (
    Ended,
    Event,
    Missed,
    Panicked,
    PowerButtonPressed,
    Rebooted,
    State,
    StateChanged,
)
from sampan.machine.view.journal import Journal


class StoppedClock:
    def monotonic_s(self):
        return 0.0

    def wall_s(self):
        return 1000.0


@pytest.fixture
def journal():
    return Journal("web", clock=StoppedClock(), kept=4)


def test_events_are_numbered_and_stamped(journal):
    first = journal.record(PowerButtonPressed())
    second = journal.record(PowerButtonPressed(time_s=5.0))
    assert first == PowerButtonPressed(seq=1, time_s=1000.0, machine="web")
    assert second == PowerButtonPressed(seq=2, time_s=5.0, machine="web")
    assert journal.last == 2


def test_replay_from_a_number(journal):
    for _ in range(3):
        journal.record(PowerButtonPressed())
    assert [event.seq for event in journal.after(0)] == [1, 2, 3]
    assert [event.seq for event in journal.after(2)] == [3]
    assert journal.after(3) == ()


def test_what_was_forgotten_is_counted(journal):
    for _ in range(9):
        journal.record(PowerButtonPressed())
    missed, *rest = journal.after(2)
    assert missed == Missed(seq=5, time_s=1000.0, machine="web", count=3)
    assert [event.seq for event in rest] == [6, 7, 8, 9]


def test_a_journal_that_keeps_nothing_still_counts():
    journal = Journal("web", clock=StoppedClock(), kept=0)
    journal.record(PowerButtonPressed())
    assert [(event.seq, event.count) for event in journal.after(0)] == [(1, 1)]


def test_the_state_follows_the_events(journal):
    assert journal.state == "starting"
    journal.became(State.RUNNING)
    journal.became(State.RUNNING)
    journal.noticed(Notice("STOP", {}, 7.0))
    journal.noticed(Notice("NIC_RX_FILTER_CHANGED", {}, 8.0))
    assert journal.state == "paused"
    assert journal.after(0) == (
        StateChanged(seq=1, time_s=1000.0, machine="web", old=State.STARTING, new=State.RUNNING),
        StateChanged(seq=2, time_s=7.0, machine="web", old=State.RUNNING, new=State.PAUSED),
    )


def test_the_end_is_told_once_and_is_the_last(journal):
    end = End(ending=Ending.PANICKED, detail="no init")
    journal.ended(end)
    journal.ended(end)
    journal.became(State.RUNNING)
    panicked, changed, ended = journal.after(0)
    assert panicked == Panicked(seq=1, time_s=1000.0, machine="web", reason="no init")
    assert changed.new is State.ENDED
    assert ended == Ended(seq=3, time_s=1000.0, machine="web", end=end)


def test_listeners_are_called(journal):
    heard: list[Event] = []
    journal.listen(heard.append)
    journal.record(Rebooted(by_guest=True))
    assert [event.seq for event in heard] == [1]


async def _all(events):
    return [event async for event in events]


def test_following_replays_and_goes_on_to_the_end(journal):
    async def run():
        journal.record(PowerButtonPressed())
        async with asyncio.TaskGroup() as tasks:
            all_ = tasks.create_task(_all(journal.follow()))
            later = tasks.create_task(_all(journal.follow(1)))
            await asyncio.sleep(0)
            journal.record(Rebooted(by_guest=True))
            await asyncio.sleep(0)
            journal.ended(End(ending=Ending.FORCED))
        return all_.result(), later.result()

    first, second = asyncio.run(run())
    assert [event.seq for event in first] == [1, 2, 3, 4]
    assert [event.seq for event in second] == [2, 3, 4]
    assert isinstance(first[-1], Ended)


@pytest.mark.parametrize("since", [0, 2, 99])
def test_following_what_is_over_ends(journal, since):
    journal.ended(End(ending=Ending.FORCED))
    events = asyncio.run(_all(journal.follow(since)))
    assert [event.seq for event in events] == [seq for seq in (1, 2) if seq > since]


def test_a_slow_follower_is_told_what_it_missed(journal):
    async def run():
        following = journal.follow()
        journal.record(PowerButtonPressed())
        first = await anext(following)
        for _ in range(6):
            journal.record(PowerButtonPressed())
        return first, await anext(following), await anext(following)

    first, missed, next_ = asyncio.run(run())
    assert (first.seq, missed.count, missed.seq, next_.seq) == (1, 2, 3, 4)


def test_a_follower_that_leaves_is_forgotten(journal):
    async def run():
        following = journal.follow()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await anext(following)
        await following.aclose()

    asyncio.run(run())
    assert journal._bell._waiting == set()
