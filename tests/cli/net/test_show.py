import json

import pytest

from sampan.cli.net.show import span


def _rows(said):
    assert said.status == 0, said.err
    return [line.split() for line in said.out.splitlines()[1:]]


def test_links(sampan, network, machine):
    machine(b"hello")
    (row,) = _rows(sampan("net", "links"))
    assert row[:4] == ["web", "1500", "02:00:00:00:00:01", "1"]
    said = json.loads(sampan("net", "links", "--json").out)
    assert (said["sent"], said["frames"]) == (5, 1)


def test_leases(sampan, network):
    assert sampan("net", "leases").out == "ADDRESS  MAC  NAME  REMAINING\n"
    assert sampan("net", "leases", "--json").out == ""


def test_stats(sampan, network, machine):
    machine()
    found = {row[0]: row[1] for row in _rows(sampan("net", "stats"))}
    assert (found["links"], found["flows_udp"]) == ("1", "1")
    said = json.loads(sampan("net", "stats", "--json").out)
    assert said["gauges"]["flows_udp"] == 1
    assert (
        'sampan_net_flows_udp{network="default"} 1\n' in sampan("net", "stats", "--prometheus").out
    )


def test_info(sampan, network):
    found = {row[0]: row[1:] for row in _rows(sampan("net", "info"))}
    assert found["gateway"] == ["192.168.65.1"]
    assert json.loads(sampan("net", "info", "--json").out)["host"] == "192.168.65.254"


def test_shutdown(sampan, start):
    web = start("web")
    assert sampan("net", "shutdown", "--name", "web") == (0, "", "")
    assert web.stopped == ["web"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-1, "0s"), (0.5, "0s"), (59.9, "59s"), (60, "1m00s"), (3599, "59m59s"), (3600, "1h00m"),
     (86399, "23h59m"), (90000, "1d01h")],
)  # fmt: skip
def test_spans(seconds, shown):
    assert span(seconds) == shown
