"""The control sockets of machines' networks."""

import pytest

from sampan.desktop.control import controlled
from sampan.errors import SampanError
from sampan.net.runtime.control.client import Client
from sampan.net.runtime.usernet import UserNetwork


@pytest.fixture
def network():
    with UserNetwork() as running:
        yield running


@pytest.fixture
def folder(runtime_root):
    return runtime_root / "net"


def nothing():
    pass


def test_nobody_asked(network):
    with controlled(network, None, "web", nothing) as name:
        assert name == ""


def test_it_answers_and_goes(network, folder):
    stopped = []
    with controlled(network, folder, "web", lambda: stopped.append(1)) as name:
        assert name == "web"
        client = Client(folder / "web.sock")
        assert client.info().name == "web"
        client.shutdown()
    assert stopped == [1]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("wanted", "first", "second"),
    [
        ("web", "web", "web-2"),
        (".my system", "my-system", "my-system-2"),
        ("x" * 40, "x" * 28, "x" * 28 + "-2"),
        ("\N{SNOWMAN}", "machine", "machine-2"),
    ],
)
def test_names(network, folder, wanted, first, second):
    with controlled(network, folder, wanted, nothing) as name:
        assert name == first
        with UserNetwork() as other, controlled(other, folder, wanted, nothing) as another:
            assert another == second


def test_what_is_in_the_way_is_logged(network, folder, caplog):
    folder.mkdir()
    (folder / "web.sock").write_text("")
    with controlled(network, folder, "web", nothing) as name:
        assert name == ""
    assert "sampan net cannot reach this network" in caplog.text
    assert (folder / "web.sock").exists()


def test_what_could_be_installed_is_said(network, folder, caplog, monkeypatch):
    def absent():
        raise SampanError("this installation has no control API", hint="pip install it")

    monkeypatch.setattr("sampan.net.runtime.control.exchange.check", absent)
    with controlled(network, folder, "web", nothing) as name:
        assert name == ""
    assert "no control API (pip install it)" in caplog.text
