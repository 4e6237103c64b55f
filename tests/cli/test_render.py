import builtins
import io
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from sampan.base import progress
from sampan.base.progress import SILENT
from sampan.cli import render


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_columns_are_as_wide_as_their_cells():
    assert render.table(("A", "LONG"), [("wide", "x"), ("", "y")]) == (
        "A     LONG\nwide  x\n      y\n"
    )
    assert render.table(("A", "B"), []) == "A  B\n"


def test_implementations():
    assert render.progress(io.StringIO(), quiet=True) is SILENT
    assert isinstance(render.progress(io.StringIO(), quiet=False), render.Lines)
    assert isinstance(render.progress(Terminal(), quiet=False), render.Bars)


def test_a_terminal_without_rich_gets_lines(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest):
        if name.startswith("rich"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", refuse)
    assert isinstance(render.progress(Terminal(), quiet=False), render.Lines)


def test_lines_say_what_moves_and_fails():
    stream = io.StringIO()
    lines = render.Lines(stream, patience_s=60)
    with progress.task(lines, "pull a", 200 << 20) as task:
        for _ in range(200):
            task.advance(1 << 20)
    with pytest.raises(RuntimeError), progress.task(lines, "pull b"):
        raise RuntimeError
    with progress.task(lines, "over at once"):
        pass
    lines.note("note")
    assert stream.getvalue().splitlines() == [
        "pull a: 64.0 MiB of 200 MiB",
        "pull a: 128 MiB of 200 MiB",
        "pull a: 192 MiB of 200 MiB",
        "pull b: failed",
        "note",
    ]


def test_lines_say_what_takes_long():
    class Listening(io.StringIO):
        def flush(self):
            said.set()

    said = threading.Event()
    stream = Listening()
    with progress.task(render.Lines(stream, patience_s=0.001), "pull a"):
        assert said.wait(60)
    assert stream.getvalue() == "pull a\n"


def test_lines_of_unknown_length():
    stream = io.StringIO()
    with progress.task(render.Lines(stream), "copy") as task:
        task.advance(64 << 20)
    assert "copy: 64.0 MiB\n" in stream.getvalue()


@pytest.mark.parametrize("kind", [render.Bars, render.Lines])
def test_threads_may_report_together(kind):
    stream = Terminal()
    shown = kind(stream)

    def work(number):
        with progress.task(shown, f"task [{number}]", 10) as task:
            task.advance(10)
        shown.note("note [red]")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(20)))
    assert stream.getvalue().count("note [red]") >= 20  # words of the user are never markup


def test_bars_say_what_failed():
    stream = Terminal()
    with pytest.raises(RuntimeError), progress.task(render.Bars(stream), "pull", 5):
        raise RuntimeError
    assert "pull: failed" in stream.getvalue()


def test_tables_show_no_control_characters():
    assert render.table(["A"], [["\x1b[2Jé"]]) == "A\n?[2Jé\n"


def test_live_shows_until_ctrl_c(monkeypatch):
    drawn = []

    def draw(lines):
        drawn.append(lines)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return "text"

    render.live(draw, interval_s=0)
    assert len(drawn) == 3


def test_live_shows_once_without_rich(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich.live", None)
    render.live(lambda lines: f"{lines > 0}\n", interval_s=0)
    assert capsys.readouterr().out == "True\n"
