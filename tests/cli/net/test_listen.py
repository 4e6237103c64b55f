import socket

import pytest

from sampan.cli.net import listen
from sampan.net.runtime.entrance import KINDS, Entrance


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_an_example_with_its_path(kind):
    said = listen.example(Entrance(kind, "/tmp/a b,c.sock"))
    if kind == "stdio":
        assert "stdin" in said
    else:
        assert "a b,c.sock" in said or "a b,,c.sock" in said


def test_more_places(sampan, network, tmp_path):
    path = tmp_path / "b.sock"
    said = sampan("net", "listen", "qemu:b.sock")
    assert said.out.startswith(f"machines connect at qemu:{path}\n    qemu-system-x86_64 … -netdev")
    with socket.socket(socket.AF_UNIX) as machine:
        machine.connect("b.sock")
    assert sampan("net", "listen", "qemu:b.sock").status == 1
    assert sampan("net", "listen", "--end", "qemu:b.sock") == (0, "", "")
    assert not path.exists()
    said = sampan("net", "listen", "--end", "qemu:b.sock")
    assert (said.status, f"'qemu:{path}' was not added" in said.err) == (1, True)


def test_as_objects(sampan, network, tmp_path):
    said = sampan("net", "listen", "--json", "dgram:c.sock")
    assert f'"listen":"dgram:{tmp_path}/c.sock"' in said.out.replace(" ", "")


def test_no_place(sampan, network):
    assert sampan("net", "listen", "slirp:/x").status == 2
    assert sampan("net", "listen", "stdio").status == 1
