import pytest

from sampan.guest.agent.fault import AgentError
from sampan.guest.tool import exposeport, forwarder, main, metadata, mount, timesync, vsudd
from sampan.guest.tool import format as formatting


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("format", formatting),
        ("mount", mount),
        ("mountie", mount),
        ("metadata", metadata),
        ("host-timesync-daemon", timesync),
        ("vpnkit-forwarder", forwarder),
        ("vpnkit-expose-port", exposeport),
        ("vsudd", vsudd),
    ],
)
def test_the_name_tells_which_program(name, module, monkeypatch):
    monkeypatch.setattr(module, "main", lambda words: 7 if words == ["a"] else 0)
    assert main.main([f"/usr/bin/{name}", "a"]) == 7


def test_other_names(capsys):
    assert main.main(["sh"]) == 2
    assert "this program is one of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (AgentError("no disk"), "format: no disk\n"),
        (OSError(5, "Input/output error", "/dev/vda"), "format: /dev/vda: Input/output error\n"),
    ],
)
def test_faults_are_said(error, said, monkeypatch, capsys):
    def fail(words):
        raise error

    monkeypatch.setattr(formatting, "main", fail)
    assert main.main(["format"]) == 1
    assert capsys.readouterr().err == said
