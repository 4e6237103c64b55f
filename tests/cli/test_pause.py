def test_pausing_and_going_on(machines, sampan):
    machines.start("web", "hang")
    assert sampan("pause", "web").out == "web\n"
    assert machines.store.record("web").status == "paused"
    assert sampan("pause", "web").status == 0
    assert sampan("resume", "web").out == "web\n"
    assert machines.store.record("web").status == "running"


def test_one_that_does_not_run(machines, sampan):
    machines.start("web", "hang")
    sampan("kill", "web")
    said = sampan("pause", "web")
    assert said.status == 1
    assert said.err.startswith("sampan: web is stopped\n  hint: start it: sampan start web")
