"""Most of it is tested with `pause`, in test_pause.py."""


def test_one_that_crashed(machines, sampan):
    record = machines.start("web", "hang")
    record.run.supervisor.kill()
    said = sampan("resume", "web")
    assert said.status == 1
    assert "sampan: web has crashed: sampan (process" in said.err
    assert not record.run.hypervisor.alive(), "a command about it cleans up"
