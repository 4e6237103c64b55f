"""Snapshots of machines with names."""

import json


def test_made_listed_and_forgotten(machines, sampan):
    machines.start("web", "hang")
    assert sampan("snapshot", "create", "web", "clean").out == "clean\n"
    assert sampan("snapshot", "create", "web", "later").out == "later\n"
    shown = [line.split()[0] for line in sampan("snapshot", "ls", "web").out.splitlines()]
    assert shown == ["clean", "later"]
    first = json.loads(sampan("--json", "snapshot", "ls", "web").out.splitlines()[0])
    assert first["tag"] == "clean"
    assert first["size_bytes"] > 0
    assert sampan("snapshot", "rm", "web", "clean").out == "clean\n"
    assert sampan("snapshot", "ls", "web").out.startswith("later ")
    sampan("kill", "web")
    assert sampan("rm", "web").status == 0
    assert machines.store.names() == ()


def test_what_cannot_be(machines, sampan):
    machines.start("web", "hang")
    assert sampan("snapshot", "create", "web", "../x").status == 2
    sampan("snapshot", "create", "web", "clean")
    said = sampan("snapshot", "create", "web", "clean")
    assert "there is a snapshot 'clean' already" in said.err
    assert "there is no snapshot 'other'\n  hint: there is clean" in sampan(
        "snapshot", "rm", "web", "other"
    ).err  # fmt: skip
