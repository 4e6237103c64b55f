import json
import os
import signal

from sampan.machine.supervise.blocking import Client


def test_in_order(machines, sampan):
    machines.start("web", "button", "poweroff")
    machines.start("db", "button", "poweroff")
    said = sampan("stop", "web", "d")
    assert (said.status, said.out, said.err) == (0, "web\ndb\n", "")
    assert sampan("stop", "web").out == "web\n", "again is no error"
    assert [each.status for each in machines.store.records()] == ["stopped", "stopped"]
    assert sampan("rm", "web", "db").status == 0


def test_by_force(machines, sampan):
    machines.start("web", "hang")
    said = sampan("stop", "--time", "0.1", "web")
    assert (said.status, said.out) == (0, "web\n")
    assert said.err == "sampan: web did not power off in time, and was ended\n"


def test_a_paused_one_hears_its_button(machines, sampan):
    machines.start("web", "button", "poweroff")
    assert sampan("pause", "web").status == 0
    assert sampan("stop", "web").err == ""


def test_one_that_is_ended_by_somebody_else_meanwhile(machines, sampan, monkeypatch):
    machines.start("web", "hang")

    def killed_meanwhile(client):
        machines.store.end_by_force("web")
        return info(client)

    info = Client.info
    monkeypatch.setattr(Client, "info", killed_meanwhile)
    said = sampan("stop", "web")
    assert (said.status, said.out, said.err) == (0, "web\n", "")


def test_unknown_names(machines, sampan):
    machines.start("web", "button", "poweroff")
    said = sampan("stop", "nope", "web")
    assert (said.status, said.out) == (1, "web\n")
    assert said.err == "sampan: there is no machine called 'nope'\n  hint: there is web\n"
    said = sampan("stop", "nope", "neither")
    assert said.status == 1
    assert said.err == (
        "sampan: there is no machine called 'nope'\nsampan: there is no machine called 'neither'\n"
    )
    said = sampan("--json", "stop", "nope", "neither")
    errors = [json.loads(line)["error"] for line in said.err.splitlines()]
    assert [error["message"] for error in errors] == [
        "there is no machine called 'nope'",
        "there is no machine called 'neither'",
    ]
    assert {error["hint"] for error in errors} == {"there is web"}
    assert sampan("stop").status == 2


def test_one_whose_sampan_is_stuck(machines, sampan, monkeypatch):
    monkeypatch.setattr(Client.__init__, "__kwdefaults__", {"timeout_s": 0.05})
    record = machines.start("web", "hang")
    os.kill(record.run.supervisor.pid, signal.SIGSTOP)
    said = sampan("stop", "web")
    assert said.status == 1
    assert "the sampan that runs the machine does not answer (info)" in said.err
    assert "sampan kill ends it in any case" in said.err
    os.kill(record.run.supervisor.pid, signal.SIGCONT)
