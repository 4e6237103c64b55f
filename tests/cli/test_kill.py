import os
import signal

from sampan.machine.supervise.blocking import Client


def test_at_once(machines, sampan):
    machines.start("web", "hang")
    said = sampan("kill", "web")
    assert (said.status, said.out, said.err) == (0, "web\n", "")
    assert machines.store.record("web").status == "stopped"
    assert sampan("kill", "web").status == 0


def test_one_whose_sampan_is_stuck(machines, sampan, monkeypatch):
    monkeypatch.setattr(Client.__init__, "__kwdefaults__", {"timeout_s": 0.05})
    monkeypatch.setattr("sampan.machine.state.KILL_S", 0.05)
    record = machines.start("web", "hang")
    os.kill(record.run.supervisor.pid, signal.SIGSTOP)
    assert sampan("kill", "web").status == 0
    assert not record.run.hypervisor.alive()
    assert not record.run.supervisor.alive()
    assert machines.store.record("web").status == "crashed"


def test_one_that_is_damaged_and_runs(machines, sampan):
    record = machines.start("web", "hang")
    (record.folder / "machine.json").write_text("{")
    for verb in ("stop", "pause"):
        said = sampan(verb, "web")
        assert (said.status, said.out) == (1, "")
        assert "machine.json" in said.err
        assert "sampan kill web" in said.err
    assert record.run.hypervisor.alive()
    assert sampan("kill", "web").status == 0
    assert not record.run.hypervisor.alive()
    assert sampan("rm", "web").status == 0


def test_one_that_runs_and_cannot_be_found(machines, sampan):
    record = machines.start("web", "hang")
    run = (record.folder / "run.json").read_text()
    (record.folder / "run.json").write_text("{")
    for words in (("kill",), ("rm", "-f")):
        said = sampan(*words, "web")
        assert (said.status, said.out) == (1, "")
        assert f"fuser {record.folder / 'lock'}" in said.err
    (record.folder / "run.json").write_text(run)


def test_as_objects(machines, sampan):
    machines.start("web", "hang")
    for verb in ("pause", "resume", "kill", "stop"):
        assert sampan(verb, "--json", "web").out == '{"name":"web"}\n'
