"""Suspending, and going on."""

import json

STEPS = ("say one", "await x", "say two", "hang")


def test_there_and_back(machines, sampan):
    machines.start("web", *STEPS)
    assert sampan("suspend", "web").out == "web\n"
    record = machines.store.record("web")
    assert record.status == "suspended"
    assert record.run.ended.ending == "suspended"
    assert json.loads((record.folder / "suspended.json").read_text())["saved_s"] > 0

    assert sampan("resume", "web").out == "web\n"
    record = machines.store.record("web")
    assert record.status == "running"
    assert record.made.words
    assert not (record.folder / "suspended.json").exists()
    assert not (record.folder / "saved").exists()
    assert sampan("kill", "web").status == 0
    assert sampan("rm", "web").status == 0
    assert not record.folder.exists()


def test_one_that_is_suspended_is_not_booted(machines, sampan):
    machines.start("web", *STEPS)
    sampan("suspend", "web")
    said = machines.run("run", "--name", "web", machines.system("web", *STEPS))
    assert said.returncode == 1
    assert "web is suspended" in said.stderr
    assert sampan("rm", "web").status == 0


def test_one_that_does_not_run(machines, sampan):
    machines.start("web", *STEPS)
    sampan("kill", "web")
    assert "web is stopped" in sampan("suspend", "web").err
