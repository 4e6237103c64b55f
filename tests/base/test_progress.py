import pytest

from sampan.base import progress


class Recorder:
    def __init__(self):
        self.said = []

    def start(self, label, total):
        self.said.append(("start", label, total))
        return self

    def advance(self, amount):
        self.said.append(("advance", amount))

    def finish(self, task, *, failed):
        assert task is self
        self.said.append(("finish", failed))

    def note(self, message):
        self.said.append(("note", message))


def test_a_block_of_work_is_reported():
    recorder = Recorder()
    with progress.task(recorder, "pull", 10) as task:
        task.advance(4)
    assert recorder.said == [("start", "pull", 10), ("advance", 4), ("finish", False)]


def test_a_failed_block_is_reported_as_such():
    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt), progress.task(recorder, "pull"):
        raise KeyboardInterrupt
    assert recorder.said == [("start", "pull", None), ("finish", True)]


def test_silence_takes_everything():
    with progress.task(progress.SILENT, "x", 1) as task:
        task.advance(1)
    progress.SILENT.note("x")


def test_a_prefix_tells_whose_work_it_is():
    recorder = Recorder()
    prefixed = progress.Prefixed(recorder, "nginx: ")
    with progress.task(prefixed, "unpack", 3):
        prefixed.note("slow")
    said = [("start", "nginx: unpack", 3), ("note", "nginx: slow"), ("finish", False)]
    assert recorder.said == said


def test_work_that_reports_can_be_stopped():
    recorder = Recorder()
    stoppable = progress.Stoppable(recorder)
    with progress.task(stoppable, "pull", 10) as task:
        task.advance(4)
    stoppable.note("so far")
    task = stoppable.start("pull", 10)
    stoppable.stop()
    with pytest.raises(progress.StoppedError):
        task.advance(1)
    with pytest.raises(progress.StoppedError):
        stoppable.start("more", None)
    with pytest.raises(progress.StoppedError):
        stoppable.note("more")
    with pytest.raises(progress.StoppedError):
        progress.check(progress.Prefixed(progress.Prefixed(stoppable, "a"), "b"))
    progress.check(progress.Prefixed(recorder, "a"))
    first = [("start", "pull", 10), ("advance", 4), ("finish", False), ("note", "so far")]
    assert recorder.said == [*first, ("start", "pull", 10)]
