import json

import pytest

from sampan.cli import ps


def test_machines_and_what_they_do(machines, sampan):
    assert sampan("ps").out == "NAME  STATUS  FOR  CPUS  MEMORY  ACCEL  PORTS\n"
    machines.start("web", "hang", flags=("--cpus", "2", "--publish", "0:80"))
    machines.start("db", "button", "poweroff")
    assert sampan("stop", "db").status == 0
    _, web = sampan("ps").out.splitlines()
    assert web.split()[:2] == ["web", "running"]
    assert web.endswith("2     1024 MiB  tcg    127.0.0.1:40080->80/tcp")
    assert [line.split()[:2] for line in sampan("ps", "-all").out.splitlines()[1:]] == [
        ["db", "stopped"], ["web", "running"],
    ]  # fmt: skip
    assert sampan("ps", "-q").out == "web\n"
    assert sampan("ps", "-aq").out == "db\nweb\n"
    db, web = map(json.loads, sampan("ps", "-a", "--json").out.splitlines())
    assert (db["status"], db["pid"] > 0, db["ended_s"] >= db["started_s"]) == (
        "stopped",
        True,
        True,
    )
    assert (web["status"], web["ended_s"], web["ports"][0]["guest_port"]) == ("running", None, 80)


def test_crashes_are_listed_and_explained(machines, sampan):
    record = machines.start("web", "hang")
    record.run.supervisor.kill()
    said = sampan("ps")
    assert said.out.splitlines()[1].split()[:2] == ["web", "crashed"]
    assert said.err.startswith(
        f"web: sampan (process {record.run.supervisor.pid}) was killed while it ran; "
        f"its hypervisor (process {record.run.hypervisor.pid}) is still there"
    )
    assert sampan("ps", "-q").out == ""
    assert record.run.hypervisor.alive(), "ps changes nothing"


def test_damaged_ones_are_listed(machines, sampan):
    record = machines.start("web", "poweroff")
    machines.store.wait_ended(record, 60)
    (record.folder / "run.json").write_text("{")
    said = sampan("ps")
    assert said.out.splitlines()[1].split() == ["web", "damaged", "1", "1024", "MiB"]
    assert "run.json: " in said.err
    (record.folder / "machine.json").write_text("{")
    assert sampan("ps").out.splitlines()[1].split() == ["web", "damaged"]
    assert json.loads(sampan("ps", "--json").out)["cpus"] is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7300, "2 h"), (1e6, "11 d")]
)
def test_spans(seconds, text):
    assert ps.span(seconds) == text
