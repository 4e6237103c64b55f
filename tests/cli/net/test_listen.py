import socket
import uuid
from pathlib import Path

import pytest

from sampan.cli.net import listen
from sampan.cli.net.listen import Listen
from sampan.errors import SampanError, UsageError
from sampan.net.link.vmnet import Command, Vif
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.setting import Settings


def test_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert listen.parse("qemu:a.sock") == Listen("qemu", str(tmp_path / "a.sock"))
    assert listen.parse("vhost-user:/b") == Listen("vhost-user", "/b")
    assert listen.parse("tap:tap0") == Listen("tap", "tap0")
    assert listen.parse("stdio") == Listen("stdio")
    assert str(listen.parse("dgram:/c")) == "dgram:/c"
    assert str(listen.parse("stdio")) == listen.parse("stdio").name == "stdio"
    assert listen.parse("qemu:/run/web.sock").name == "web"


@pytest.mark.parametrize("text", ["", "qemu", "qemu:", "slirp:/a", "/a", "stdio:", "stdio:/a"])
def test_what_is_no_place(text):
    with pytest.raises(UsageError, match="no place where machines could connect"):
        listen.parse(text)


@pytest.mark.parametrize("kind", listen.KINDS)
def test_each_kind_has_an_example_with_its_path(kind):
    said = listen.example(Listen(kind, "/tmp/a b,c.sock"))
    if kind == "stdio":
        assert "stdin" in said
    else:
        assert "a b,c.sock" in said or "a b,,c.sock" in said


@pytest.fixture
def network():
    with UserNetwork(Settings(hosts_files=())) as network:
        yield network


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path()


@pytest.mark.parametrize("kind", ["qemu", "vhost-user", "hyperkit", "dgram", "vfkit"])
def test_sockets_are_there_and_go(network, folder, kind):
    place = Listen(kind, "vm.sock")
    end = network.call(lambda each: listen.begin(each, place, lambda: None))
    assert Path("vm.sock").is_socket()
    with pytest.raises(SampanError):
        network.call(lambda each: listen.begin(each, place, lambda: None))
    network.call(lambda _: end())
    assert not Path("vm.sock").exists()


def test_machines_connect(network, folder):
    end = network.call(lambda each: listen.begin(each, Listen("qemu", "vm.sock"), lambda: None))
    with socket.socket(socket.AF_UNIX) as first, socket.socket(socket.AF_UNIX) as second:
        for each in (first, second):
            each.connect("vm.sock")
        names: set[str] = set()
        while len(names) < 2:
            names = {plug.name for plug in network.call(lambda each: each.engine.plugs).values()}
    assert names == {"vm", "vm-2"}
    network.call(lambda _: end())


def test_a_link_that_is_lost_ends_it(network, folder):
    lost: list[int] = []
    end = network.call(
        lambda each: listen.begin(each, Listen("dgram", "vm.sock"), lambda: lost.append(1))
    )
    (plug,) = network.call(lambda each: tuple(each.engine.plugs.values()))
    network.call(lambda _: plug.lost("gone"))
    assert lost == [1]
    network.call(lambda _: end())
    assert lost == [1]


def _grant(network, identity, preferred=b""):
    command = Command(identity, preferred)
    return network.call(lambda each: listen._grant(each, command))


def test_hyperkits_cards(network):
    one, two = uuid.UUID(int=1), uuid.UUID(int=2)
    card = _grant(network, one)
    assert isinstance(card, Vif)
    assert card == _grant(network, one)
    assert card.mac != _grant(network, two).mac
    assert card.mac[0] & 3 == 2  # locally administered, of one station
    address = bytes([192, 168, 65, 77])
    assert isinstance(_grant(network, one, address), Vif)
    assert "fixed for another" in _grant(network, two, address)
