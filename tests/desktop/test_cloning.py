"""How clones are connected, told from how their original was."""

import pytest
from msgspec.structs import replace

from sampan.desktop import cloning
from sampan.desktop.network import Networking, Options
from sampan.errors import UnsupportedError, UsageError
from sampan.machine.driver import Build
from sampan.machine.model import Accelerator
from sampan.machine.saving.suspension import File, Suspension
from sampan.machine.testing import spec

SAVED = Suspension(
    spec=spec(name="web"), driver="fake", build=Build(), accel=Accelerator.TCG,
    memory=File(name="memory-0", size_bytes=0, sha256=""), has_agent=True,
)  # fmt: skip
AGENTLESS = replace(SAVED, has_agent=False)


@pytest.mark.parametrize(
    ("publish", "free"),
    [
        ((), ()),
        (("8080:80",), ("127.0.0.1:0:80/tcp",)),
        (("0.0.0.0:53:53/udp", "[::1]:8080:80"), ("0.0.0.0:0:53/udp", "[::1]:0:80/tcp")),
        (("8000-8001:80-81",), ("127.0.0.1:0:80/tcp", "127.0.0.1:0:81/tcp")),
        (("/run/web.sock:80", "8080:web:80"), ("127.0.0.1:0:80/tcp", "127.0.0.1:0:80/tcp")),
    ],
)
def test_ports_of_the_guest_at_free_ones(publish, free):
    assert cloning.connected(SAVED, Options(publish=publish)).publish == free


def test_on_the_network_of_qemu():
    wired = Options(networking=Networking.USER, publish=("8080:80", "0.0.0.0:53:53/udp"))
    assert cloning.connected(AGENTLESS, wired).publish == ("127.0.0.1:0:80/tcp", "0.0.0.0:0:53/udp")


def test_other_ports():
    wired = Options(publish=("8080:80",), address="192.168.65.9")
    made = cloning.connected(AGENTLESS, wired, ("8081:80",))
    assert (made.publish, made.address) == (("8081:80",), "192.168.65.9")


def test_among_others(tmp_path):
    for wired in (
        Options(networking=Networking.SHARED, address="192.168.65.9"),
        Options(networking=Networking.BRIDGE, interface="br0"),
        Options(join=tmp_path),
    ):
        assert cloning.connected(SAVED, wired).address == ""
        with pytest.raises(UnsupportedError, match="only that can change the MAC address"):
            cloning.connected(AGENTLESS, wired)


def test_what_several_cannot_publish():
    cloning.check_several(["0:80", "0.0.0.0:0:53/udp"])
    for text in ("8080:80", "/run/web.sock:80", "8000-8001:80-81"):
        with pytest.raises(UsageError, match="several clones cannot publish"):
            cloning.check_several([text])
