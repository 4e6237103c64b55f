import os
import socket
import threading
from pathlib import Path

import pytest

from sampan.errors import SampanError, UnsupportedError, UsageError
from sampan.net.runtime.control import door as door_module
from sampan.net.runtime.control.door import Door
from sampan.net.runtime.control.fault import NotFoundError
from sampan.net.runtime.usernet import UserNetwork
from sampan.net.setting import Settings


@pytest.fixture
def network():
    with UserNetwork(Settings(hosts_files=())) as network:
        yield network


@pytest.fixture
def call(network, tmp_path, monkeypatch):
    """Does something with a door, in the network's thread; its folder is the working one."""
    monkeypatch.chdir(tmp_path)
    door = network.call(Door)
    yield lambda work: network.call(lambda _: work(door))
    network.call(lambda _: door.close())
    assert [each for each in tmp_path.iterdir() if each.is_socket()] == []


def until(condition):
    for _ in range(6000):
        if condition():
            return
        threading.Event().wait(0.01)
    raise AssertionError("it did not happen")


def test_added_and_removed(call, network, tmp_path):
    place = f"qemu:{tmp_path}/b.sock"
    assert call(lambda door: door.add(place)) == place
    assert call(lambda door: door.added) == (place,)
    with socket.socket(socket.AF_UNIX) as machine:
        machine.connect("b.sock")
        until(lambda: network.call(lambda each: len(each.engine.plugs)) == 1)
        call(lambda door: door.remove(place))
        assert network.call(lambda each: len(each.engine.plugs)) == 1  # it stays
    assert call(lambda door: door.added) == ()
    assert not Path("b.sock").exists()
    with pytest.raises(NotFoundError, match="was not added"):
        call(lambda door: door.remove(place))


def test_twice(call, tmp_path):
    call(lambda door: door.add(f"qemu:{tmp_path}/b.sock"))
    with pytest.raises(SampanError):
        call(lambda door: door.add(f"qemu:{tmp_path}/b.sock"))
    assert len(call(lambda door: door.added)) == 1


def test_what_is_lost_is_forgotten(call, network, tmp_path):
    place = f"dgram:{tmp_path}/d.sock"
    call(lambda door: door.add(place))
    (plug,) = network.call(lambda each: tuple(each.engine.plugs.values()))
    network.call(lambda _: plug.lost("gone"))
    assert call(lambda door: door.added) == ()
    call(lambda door: door.add(place))


def test_what_cannot_be(call, monkeypatch):
    for text, kind in (("qemu:b.sock", UsageError), ("x", UsageError), ("stdio", UnsupportedError)):
        with pytest.raises(kind):
            call(lambda door, text=text: door.add(text))
    with pytest.raises(SampanError):
        call(lambda door: door.add(f"qemu:{os.sep}none{os.sep}x.sock"))
    monkeypatch.setattr(door_module, "MAX_ENTRANCES", 0)
    with pytest.raises(SampanError, match="added already"):
        call(lambda door: door.add("qemu:/x"))
