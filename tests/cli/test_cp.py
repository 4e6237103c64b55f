"""The words of `sampan cp`; that files arrive is shown with the agent itself."""

import asyncio
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from sampan.cli import cp, target
from sampan.cli import exec as exec_
from sampan.errors import UsageError


@pytest.fixture
def copied(monkeypatch):
    """Which copies an agent was asked for."""
    calls: list[object] = []

    class Agent:
        async def copy_to(self, source, goal, *, container):
            await asyncio.sleep(0)
            calls.append(("to", source, goal, container))

        async def copy_from(self, source, goal, *, container):
            await asyncio.sleep(0)
            calls.append(("from", source, goal, container))

    @asynccontextmanager
    async def reached(path, wait_s):
        calls.append((path, wait_s))
        yield Agent()

    monkeypatch.setattr(exec_, "reached", reached)
    monkeypatch.setattr(target, "store", lambda: None)
    monkeypatch.setattr(
        target, "healed", lambda store, name: SimpleNamespace(name=name, status="running")
    )
    monkeypatch.setattr(target, "reached", lambda record: SimpleNamespace(path=record.name))
    return calls


def test_both_ways(sampan, copied):
    assert sampan("cp", "web:/etc/hosts", ".").status == 0
    assert sampan("cp", "--container", "db", "--wait", "5", "a:b/c", "./x").status == 2
    assert sampan("cp", "--container", "db", "--wait", "5", "./a:b", "web:/x").status == 0
    assert copied == [
        ("web", 30.0), ("from", "/etc/hosts", ".", ""), ("web", 5.0), ("to", "./a:b", "/x", "db"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("a", "b"), "one side of a copy is in a machine"),
        (("a:/x", "b:/y"), "one side of a copy is in a machine"),
        (("web:x", "."), "a path in a machine begins with a slash"),
    ],
)
def test_words_that_make_no_sense(sampan, words, said):
    outcome = sampan("cp", *words)
    assert outcome.status == 2
    assert said in outcome.err


@pytest.mark.parametrize(
    ("text", "machine", "path"),
    [("web:/a", "web", "/a"), ("./web:/a", "", "./web:/a"), (":/a", "", ":/a"), ("a", "", "a")],
)
def test_sides(text, machine, path):
    assert cp._side(text) == (machine, path)
    with pytest.raises(UsageError):
        cp._side("web:")
