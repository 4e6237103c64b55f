import sys
import threading
from pathlib import Path

import pytest

from sampan.cli import target
from sampan.errors import SampanError, UsageError
from sampan.machine.registry.record import Record, Status


def test_several_at_once(capsys):
    def act(name):
        if name.startswith("bad"):
            raise UsageError(f"{name} is bad")
        return name.upper()

    assert target.each(["a", "b", "a"], act) == 0
    assert capsys.readouterr().out == "A\nB\n"
    assert target.each(["a", "b"], act, json=True) == 0
    assert capsys.readouterr().out == '{"name":"A"}\n{"name":"B"}\n'
    with pytest.raises(UsageError, match="bad1 is bad"):
        target.each(["a", "bad1"], act)
    with pytest.raises(SampanError) as caught:
        target.each(["bad1", "bad2"], act)
    assert (caught.value.exit_code, caught.value.message) == (2, "bad1 is bad\nsampan: bad2 is bad")


@pytest.mark.parametrize(
    ("status", "said", "hint"),
    [
        (Status.STOPPED, "web is stopped", "sampan start web"),
        (Status.STARTING, "web is still starting", "sampan ps -a"),
        (Status.CRASHED, "web has crashed: because", "sampan start web"),
        (Status.SUSPENDED, "web is suspended", "sampan resume web"),
        (Status.DAMAGED, "web is damaged", "sampan rm web"),
    ],
)
def test_what_is_said_of_those_that_do_not_run(status, said, hint):
    detail = "because" if status is Status.CRASHED else ""
    record = Record(name="web", folder=Path("/x"), status=status, detail=detail)
    with pytest.raises(SampanError) as caught:
        target.reached(record)
    assert caught.value.message == said
    assert hint in (caught.value.hint or "")


def test_what_takes_long_is_told_on_a_terminal(monkeypatch):
    monkeypatch.setattr(target, "_SILENT_S", 0)
    told = threading.Event()

    def act(name):
        told.wait(60)
        return name

    def tell(text, *, err=False):
        said.append((text, err))
        told.set()

    said: list[tuple[str, bool]] = []
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr("click.echo", tell)
    assert target.each(["web"], act, meanwhile="powers off …") == 0
    assert said == [("sampan: web powers off …", True), ("web", False)]
