import os
import select
import socket
from pathlib import Path

import pytest

from sampan.desktop import shared
from sampan.desktop.link import Link
from sampan.desktop.network import Networking, Options, connection
from sampan.errors import SampanError, UsageError
from sampan.machine.model import MachineSpec, Network
from sampan.net.runtime.control.client import Client
from sampan.net.services.forward import Forward

ONE, TWO = "02:00:00:00:00:01", "02:00:00:00:00:02"


def end(control):
    """End a network, and wait until its process has gone."""
    process = os.pidfd_open(control.info().pid)
    control.shutdown()
    assert select.select([process], [], [], 20)[0]
    os.close(process)


@pytest.fixture
def folder(runtime_root):
    """A control folder; the network that a test started there is ended."""
    yield runtime_root
    if (runtime_root / "shared.sock").exists():
        end(Client(runtime_root / "shared.sock"))


def join(folder, mac=ONE, name="one", address="", forwards=()):
    return shared.member(folder, mac=mac, name=name, address=address, forwards=forwards)


def test_the_first_starts_it_and_others_join(folder):
    with join(folder, forwards=(Forward(guest_port=80),)) as one:
        control = Client(folder / "shared.sock")
        with join(folder, TWO, "two", "192.168.65.77") as two:
            assert two.address == "192.168.65.77"
            assert one.address not in ("", two.address)
            assert {each.name for each in control.reservations()} == {"one", "two"}
        (listening,) = one.forwards
        assert (listening.guest, listening.guest_port) == (one.address, 80)
        socket.create_connection(("127.0.0.1", listening.port)).close()
    assert control.forwards() == ()
    assert control.reservations() == ()


def test_what_it_holds_is_given_back_when_a_part_fails(folder):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        forwards = (Forward(guest_port=1), Forward(guest_port=2, port=taken.getsockname()[1]))
        with pytest.raises(SampanError, match="taken"), join(folder, forwards=forwards):
            pass
    control = Client(folder / "shared.sock")
    assert control.forwards() == ()
    assert control.reservations() == ()


def test_two_machines_cannot_have_one_name(folder):
    spec = MachineSpec(kernel=Path("k"), name="web")
    options = Options(networking=Networking.SHARED, link=Link.STREAM, control_folder=folder)
    with connection(spec, options) as made:
        assert made.spec.network is Network.STREAM
        assert made.link is not None
        # a machine is known once it has spoken
        frame = b"\xff" * 6 + bytes.fromhex(made.spec.mac.replace(":", "")) + b"\x08\x06"
        arp = frame + bytes.fromhex("0001080006040001") + frame[6:12] + bytes([192, 168, 65, 3])
        arp += bytes(6) + bytes([192, 168, 65, 1])
        made.link.sendall(len(arp).to_bytes(4, "big") + arp)
        assert made.link.recv(4096)
        with (
            pytest.raises(SampanError, match="called web is on the shared network"),
            connection(spec, options),
        ):
            pass


def test_a_machine_shares_its_memory_with_it(folder):
    spec = MachineSpec(kernel=Path("k"), name="web")
    options = Options(
        networking=Networking.SHARED, link=Link.VHOST_USER, control_folder=folder,
        publish=("0:80",),
    )  # fmt: skip
    with connection(spec, options) as made:
        assert made.link_path == folder / "shared.vhost-user"
        assert made.spec.network is Network.VHOST_USER
        assert [each.guest_port for each in made.published] == [80]
        assert made.name == "shared"


def test_its_end_is_survived(folder):
    with join(folder, forwards=(Forward(guest_port=80),)):
        end(Client(folder / "shared.sock"))


def test_why_it_did_not_start(folder):
    (folder / "shared.vhost-user").mkdir()
    with pytest.raises(SampanError, match=r"did not start: .*shared.vhost-user"), join(folder):
        pass


def test_it_cannot_be_configured_by_one_of_its_machines(folder):
    from sampan.net.setting import Settings

    spec = MachineSpec(kernel=Path("k"))
    for options in (
        Options(networking=Networking.SHARED, settings=Settings(), control_folder=folder),
        Options(networking=Networking.SHARED),
    ):
        with pytest.raises(UsageError), connection(spec, options):
            pass
