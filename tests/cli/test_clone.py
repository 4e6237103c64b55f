"""New machines from the snapshot of one."""


def test_two(machines, sampan, monkeypatch):
    monkeypatch.setattr("sampan.cli.clone._PATIENCE_S", 0.1)  # there is no agent
    machines.start("web", "say one", "hang")
    sampan("snapshot", "create", "web", "clean")
    assert sampan("clone", "web", "clean", "a", "b").out == "a\nb\n"
    for name in ("a", "b"):
        record = machines.store.record(name)
        assert record.status == "running"
        assert record.made.spec.name == name
    assert machines.store.record("web").status == "running"
    sampan("kill", "a", "b")
    assert sampan("rm", "a", "b").status == 0


def test_names_that_cannot_be(machines, sampan):
    machines.start("web", "hang")
    sampan("snapshot", "create", "web", "clean")
    assert sampan("clone", "web", "clean", "../x").status == 2
    assert "runs already" in machines.run("clone", "web", "clean", "web").stderr
