"""New machines from the snapshot of one."""

import json

import pytest

from sampan.base import proc
from sampan.machine.drivers.qemu_argv import mac_address


def test_two(machines, sampan):
    machines.start("web", "say one", "hang")
    sampan("snapshot", "create", "web", "clean")
    assert sampan("clone", "web", "clean", "a", "b").out == "a\nb\n"
    for name in ("a", "b"):
        record = machines.store.record(name)
        assert record.status == "running"
        assert record.made.spec.name == name
        assert record.made.spec.mac == mac_address("web")  # there is no agent to change it
    assert machines.store.record("web").status == "running"
    sampan("kill", "a", "b")
    assert sampan("rm", "a", "b").status == 0


@pytest.mark.skipif(not proc.has_tool("qemu-img"), reason="needs qemu-img")
def test_what_clones_are_made_from_stays(machines, sampan):
    machines.start("web", "hang", flags=("--disk", "web.img,size=1M"))
    sampan("snapshot", "create", "web", "clean")
    sampan("clone", "web", "clean", "a")
    sampan("kill", "web", "a")
    refused = sampan("snapshot", "rm", "web", "clean")
    assert refused.status == 1
    assert "sampan rm a" in refused.err
    refused = sampan("rm", "web")
    assert refused.status == 1
    assert "sampan rm web a" in refused.err
    assert sampan("rm", "web", "a").status == 0
    assert machines.store.names() == ()


def test_names_that_cannot_be(machines, sampan):
    machines.start("web", "hang")
    sampan("snapshot", "create", "web", "clean")
    assert sampan("clone", "web", "clean", "../x").status == 2
    assert "runs already" in machines.run("clone", "web", "clean", "web").stderr


def test_ports(machines, sampan):
    machines.start("web", "hang", flags=("--publish", "8080:80"))
    sampan("snapshot", "create", "web", "clean")
    said = json.loads(sampan("--json", "clone", "web", "clean", "a").out)
    assert said["name"] == "a"
    assert said["mac"] == mac_address("web")
    (port,) = said["ports"]
    assert (port["bind"], port["host_port"], port["guest_port"]) == ("127.0.0.1", 40080, 80)
    sampan("clone", "--publish", "8081:81", "web", "clean", "b")
    (port,) = machines.store.record("b").run.ports
    assert (port.host_port, port.guest_port) == (8081, 81)
    refused = sampan("clone", "--publish", "8081:81", "web", "clean", "c", "d")
    assert refused.status == 2
    assert "name one clone" in refused.err
