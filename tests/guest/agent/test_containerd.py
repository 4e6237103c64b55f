import socket

import pytest

from sampan.guest.agent import containerd, log
from sampan.guest.agent.fault import AgentError


def test_settings_as_linuxkit_has_them():
    text = '# a comment\ncliopts="--log-level debug"\n stderr = "/var/log/c.err"\nother="x"\n'
    assert containerd.parse_settings(text) == {
        "cliopts": "--log-level debug",
        "stderr": "/var/log/c.err",
    }


@pytest.fixture
def place(monkeypatch, tmp_path):
    """Puts containerd's files below tmp_path."""
    (tmp_path / "settings").write_text(f'stderr="{tmp_path}/err"\nstdout="{tmp_path}/out"\n')
    monkeypatch.setattr(containerd, "SETTINGS", str(tmp_path / "settings"))
    monkeypatch.setattr(containerd, "SOCKET", str(tmp_path / "c.sock"))
    return tmp_path


def test_a_containerd_that_ends_is_explained(place, monkeypatch):
    monkeypatch.setattr(log, "tail", lambda path, lines: ["bad config"])
    with pytest.raises(AgentError, match="containerd ended with status 1: bad config"):
        containerd.start("/bin/false")


def test_answers(place):
    assert not containerd.answers()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(place / "c.sock"))
        server.listen(1)
        assert containerd.answers()
