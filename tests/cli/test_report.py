import json

import pytest

from sampan.cli import report
from sampan.cli.settings import Settings
from sampan.desktop import session
from sampan.desktop.network import Published
from sampan.machine import Accelerator

PORTS = (
    Published(host_port=8080, guest_port=80, bind="::1", protocol="tcp"),
    Published(host_port=0, guest_port=81, bind="", protocol="tcp", path="/run/x"),
)
STARTED = session.Started(Accelerator.TCG, "no kvm", 1, PORTS, "other", "keys")


@pytest.fixture
def said(capsys, tmp_path):
    def told(event, **settings):
        report.reporter(Settings(cache=tmp_path, **settings), "web")(event)
        return capsys.readouterr().err

    return told


def test_a_start(said):
    assert said(STARTED).splitlines() == [
        "sampan: web starts on tcg (nothing faster works: no kvm)",
        "sampan: [::1]:8080/tcp is port 80 of the guest",
        "sampan: /run/x is port 81 of the guest",
        "sampan: its network is called other: sampan net … --name other",
        "sampan: keys",
    ]


def test_the_end_of_it(said):
    assert said(session.Stopping(30.0)).startswith("sampan: power button pressed; the machine is")
    assert said(session.Helped("keys")) == "sampan: keys\n"


def test_quietly_and_for_programs(said):
    assert said(STARTED, quiet=True) == ""
    assert json.loads(said(STARTED, json=True))["event"] == "started"
