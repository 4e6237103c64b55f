import json

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sampan.cli import stats
from sampan.machine.view.metrics import DiskCounters, Metrics


def counters(machine="web", **fields):
    return Metrics(
        **{
            "machine": machine, "uptime_s": 200.0, "cpus": 2, "cpu_s": 50.0,
            "memory_bytes": 512 << 20, "rss_bytes": 100 << 20, **fields,
        }
    )  # fmt: skip


DISK = DiskCounters(
    disk="disk0", read_bytes=3 << 20, written_bytes=1 << 20, reads=2, writes=1, flushes=3,
    read_s=1.5, write_s=0.25, flush_s=0.5, errors=6,
)  # fmt: skip


def test_all_that_run(machines, sampan):
    machines.start("web", "hang")
    machines.start("db", "hang")
    said = sampan("stats")
    assert said.status == 0
    assert [line.split()[0] for line in said.out.splitlines()] == ["NAME", "db", "web"]


def test_some_as_objects(machines, sampan):
    machines.start("web", "hang")
    machines.start("db", "hang")
    [counted] = map(json.loads, sampan("stats", "--json", "web").out.splitlines())
    assert (counted["machine"], counted["cpus"]) == ("web", 1)
    assert counted["rss_bytes"] > 0


def test_for_prometheus(machines, sampan):
    machines.start("web", "hang")
    families = text_string_to_metric_families(sampan("stats", "--prometheus").out)
    found = {sample.name: sample.labels for family in families for sample in family.samples}
    assert found["sampan_machine_cpu_seconds_total"] == {"machine": "web"}


def test_following_ends_with_the_machine(machines, sampan):
    machines.start("web", "say up", "exit 0")  # it may have ended already
    said = sampan("stats", "--follow", "--interval", "0.1", "--json")
    assert said.status == 0


def test_nothing_runs(sampan):
    said = sampan("stats")
    assert (said.status, said.out.split()[0]) == (0, "NAME")


def test_one_that_does_not_run(machines, sampan):
    said = sampan("stats", "web")
    assert said.status == 1
    assert "there is no machine called 'web'" in said.err


def test_two_formats(sampan):
    assert sampan("--json", "stats", "--prometheus").status == 2


def test_the_table():
    [row] = stats._rows([counters(disks=(DISK,))], {})
    assert row == (
        "web", "25.0 %", "50.0 s", "100 MiB", "512 MiB", "3.00 MiB", "1.00 MiB", "3 min",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("before", "share"),
    [
        (None, 0.25),
        (counters(uptime_s=198.0, cpu_s=49.0), 0.5),
        (counters(uptime_s=200.0), 0.25),
        (counters(uptime_s=900.0, cpu_s=800.0), 0.25),  # of another run
    ],
)
def test_the_share_of_a_processor(before, share):
    assert stats._share(counters(), before) == share
    assert stats._share(counters(uptime_s=0.0), None) == 0.0
