import json
import os
import socket
import sys
from typing import Any

import pytest

from sampan.cli import render
from sampan.cli.net import flows
from sampan.net.runtime.view.flowtable import FlowRecord, Kind


def test_table(sampan, network, machine):
    port = machine(b"x" * 2048)
    header, row = sampan("net", "flows").out.splitlines()
    assert header.split() == ["KIND", "MACHINE", "PEER", "STATE", "SENT", "RECEIVED", "AGE", "NOTE"]
    assert row.split()[:4] == ["udp", "192.168.65.3:4000", f"192.168.65.254:{port}", "asked"]
    assert row.split()[4:8] == ["2.00", "KiB", "0", "B"]


def test_json(sampan, network, machine):
    machine()
    machine()
    first, second = map(json.loads, sampan("net", "flows", "--json").out.splitlines())
    assert first["age_s"] <= second["age_s"]


def test_follow(sampan, network, machine, monkeypatch):
    """Until the network ends; here after the events that there are."""
    from sampan.net.runtime.control.client import Client

    machine()
    events = Client.events
    asked = []

    def once(self, wanted):
        asked.append(wanted)
        return events(self, type(wanted)(kind=wanted.kind))

    monkeypatch.setattr(Client, "events", once)
    assert "flow.opened" in sampan("net", "flows", "--follow").out
    assert json.loads(sampan("net", "flows", "-f", "--json").out)["kind"] == "flow.opened"
    assert asked[0].follow


def _flow(number, **more):
    more.setdefault("kind", Kind.TCP)
    return FlowRecord(
        id=number, link="l", machine=f"10.0.0.{number}", machine_port=number,
        peer="192.0.2.1", peer_port=80, opened_s=0, **more,
    )  # fmt: skip


class Network:
    def __init__(self, *found: FlowRecord) -> None:
        self.found = found

    def flows(self):
        return self.found


FLOWS: Any = Network(
    _flow(1, sent=5, received=1, age_s=9),
    _flow(2, sent=1, received=7, age_s=8),
    _flow(3, sent=3, received=3, age_s=7, names=("example.com", "x"), verdict="rule"),
)


@pytest.mark.parametrize(
    ("sort", "order"),
    [("age", "321"), ("sent", "132"), ("received", "231"), ("traffic", "213"), ("machine", "123"),
     ("peer", "123")],
)  # fmt: skip
def test_sorts(sort, order):
    assert "".join(str(each.id) for each in flows._sorted(FLOWS, sort)) == order


def test_names_and_notes_are_shown():
    text = flows.table([_flow(3, names=("example.com", "x"), machine_name="web", verdict="rule")])
    assert "web:3" in text
    assert "example.com:80" in text
    assert text.rstrip().endswith("rule")


def test_who_began_a_forward_is_shown():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as client,
        server.accept()[0],
    ):
        port = client.getsockname()[1]
        by_tcp = _flow(3, kind=Kind.FORWARD, host=f"127.0.0.1:{port}")
        by_unix = _flow(4, kind=Kind.FORWARD, pid=os.getpid())
        _, *rows = flows.table([by_tcp, by_unix]).splitlines()
    assert all(row.endswith(f"(process {os.getpid()})") for row in rows)


def test_ipv6_and_pings():
    ping = FlowRecord(id=1, kind=Kind.ICMP, link="", machine="fd00::3", peer="fd00::1", opened_s=0)
    assert "[fd00::3]" in flows.table([ping])


def test_a_terminal_shows_what_fits():
    shown = flows._live(FLOWS, "age", 5)
    assert shown.startswith("3 flows, 1 of them not shown")
    assert len(shown.splitlines()) == 4
    assert flows._live(FLOWS, "age", 50).startswith("3 flows   ")


def test_a_terminal_is_refreshed(sampan, network, monkeypatch):
    asked = []
    monkeypatch.setattr(render, "live", lambda draw, *, interval_s: asked.append(interval_s))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert sampan("net", "flows", "--interval", "0.5").status == 0
    assert sampan("net", "flows", "--once").out.startswith("KIND")
    assert asked == [0.5]
