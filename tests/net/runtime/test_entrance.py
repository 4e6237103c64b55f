import socket
import uuid
from pathlib import Path

import pytest

from sampan.errors import SampanError, UsageError
from sampan.net.link.vmnet import Command, Vif
from sampan.net.runtime import entrance
from sampan.net.runtime.entrance import Entrance
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.setting import Settings


def test_places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert entrance.parse("qemu:a.sock") == Entrance("qemu", str(tmp_path / "a.sock"))
    assert entrance.parse("vhost-user:/b") == Entrance("vhost-user", "/b")
    assert entrance.parse("tap:tap0") == Entrance("tap", "tap0")
    assert entrance.parse("stdio") == Entrance("stdio")
    assert str(entrance.parse("dgram:/c")) == "dgram:/c"
    assert str(entrance.parse("stdio")) == entrance.parse("stdio").name == "stdio"
    assert entrance.parse("qemu:/run/web.sock").name == "web"


@pytest.mark.parametrize("text", ["", "qemu", "qemu:", "slirp:/a", "/a", "stdio:", "stdio:/a"])
def test_what_is_no_place(text):
    with pytest.raises(UsageError, match="no place where machines could connect"):
        entrance.parse(text)


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
    place = Entrance(kind, "vm.sock")
    end = network.call(lambda each: entrance.begin(each, place, lambda: None))
    assert Path("vm.sock").is_socket()
    with pytest.raises(SampanError):
        network.call(lambda each: entrance.begin(each, place, lambda: None))
    network.call(lambda _: end())
    assert not Path("vm.sock").exists()


def test_machines_connect(network, folder):
    end = network.call(lambda each: entrance.begin(each, Entrance("qemu", "vm.sock"), lambda: None))
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
        lambda each: entrance.begin(each, Entrance("dgram", "vm.sock"), lambda: lost.append(1))
    )
    (plug,) = network.call(lambda each: tuple(each.engine.plugs.values()))
    network.call(lambda _: plug.lost("gone"))
    assert lost == [1]
    network.call(lambda _: end())
    assert lost == [1]


def _grant(network, identity, preferred=b""):
    command = Command(identity, preferred)
    return network.call(lambda each: entrance._grant(each, command))


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
