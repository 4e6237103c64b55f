"""Putting machines back to snapshots."""


def test_one_that_runs(machines, sampan):
    machines.start("web", "say one", "hang")
    sampan("snapshot", "create", "web", "clean")
    before = machines.store.record("web").run
    assert sampan("restore", "web", "clean").out == "web\n"
    after = machines.store.record("web")
    assert after.status == "running"
    assert after.run.supervisor == before.supervisor


def test_one_that_does_not(machines, sampan):
    machines.start("web", "say one", "hang")
    sampan("snapshot", "create", "web", "clean")
    sampan("kill", "web")
    assert sampan("restore", "web", "clean").out == "web\n"
    assert machines.store.record("web").status == "running"


def test_a_snapshot_that_is_not_there(machines, sampan):
    machines.start("web", "hang")
    said = sampan("restore", "web", "clean")
    assert said.status == 1
    assert "make one: sampan snapshot create NAME TAG" in said.err
