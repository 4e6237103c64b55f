import io
import json

import pytest

from sampan.guest.agent import container, control, daemon, main, sequence, share, volume
from sampan.guest.agent.fault import AgentError


@pytest.fixture
def done(monkeypatch):
    """What was asked of the parts of the program."""
    calls: list[str] = []

    def record(answer, name=None):
        def call(*arguments):
            calls.append(name or arguments[0])
            return answer

        return call

    monkeypatch.setattr(volume, "mount_all", record(None, "volumes"))
    monkeypatch.setattr(share, "mount_all", record(1, "shares"))
    monkeypatch.setattr(sequence, "run_section", record(sequence.STOPPED))
    monkeypatch.setattr(daemon, "supervise", record(0, "supervise"))
    monkeypatch.setattr(control, "ask", record("a table"))
    return calls


@pytest.mark.parametrize(
    ("argv", "call", "status"),
    [
        (["/etc/init.d/004-shares"], "shares", 1),
        (["/etc/init.d/005-volumes"], "volumes", 0),
        (["/etc/init.d/010-onboot"], "onboot", sequence.STOPPED),
        (["/etc/shutdown.d/010-onshutdown"], "onshutdown", sequence.STOPPED),
        (["service", "supervise"], "supervise", 0),
        (["service", "-q", "stop", "web"], "stop web", 0),
        (["service", "list"], "list", 0),
    ],
)
def test_dispatch(done, argv, call, status):
    assert main.main(argv) == status
    assert done == [call]


def test_linuxkits_way_to_start_containerd_does_nothing(done):
    assert main.main(["/etc/init.d/020-containerd"]) == 0
    assert main.main(["service", "system-init"]) == 0
    assert done == []


def test_usage(capsys):
    assert main.main(["service"]) == 2
    assert capsys.readouterr().err.startswith("usage: service list")


def test_errors_are_one_line(monkeypatch, capsys):
    def refuse(request):
        raise AgentError("no service 'x'")

    monkeypatch.setattr(control, "ask", refuse)
    assert main.main(["service", "stop", "x"]) == 1
    assert capsys.readouterr().err == "service: no service 'x'\n"


def test_hook(monkeypatch, make_bundle):
    attached = []
    monkeypatch.setattr(container, "attach", lambda runtime, pid: attached.append(pid))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"pid": 12})))
    assert main.main(["service", "hook", make_bundle("web", section="services")]) == 0
    assert attached == [12]
