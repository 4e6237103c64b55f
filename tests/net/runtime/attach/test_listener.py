import logging
import socket
import stat

import pytest

from sampan.errors import SampanError
from sampan.net.link.stream import QEMU, VMNET, Decoder
from sampan.net.runtime.attach.listener import listen_stream


@pytest.fixture
def connect(runtime_root):
    """Connects a machine to the socket in the test's folder."""
    made = []

    def go():
        machine = socket.socket(socket.AF_UNIX)
        machine.settimeout(60)
        machine.connect(str(runtime_root / "net"))
        made.append(machine)
        return machine

    yield go
    for each in made:
        each.close()


def test_several_machines_each_with_a_link_of_its_own(
    engine, runtime_root, connect, turns, question, is_answer
):
    path = runtime_root / "net"
    listening = listen_stream(
        engine.loop, path, lambda link, name: engine.plug(link, name=name), name="vm"
    )
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    machines = [connect(), connect()]
    turns()
    assert [plug.name for plug in engine.plugs.values()] == ["vm", "vm-2"]
    machines[1].sendall(QEMU.encode(question))
    turns()
    [answer] = Decoder(QEMU).received(machines[1].recv(1000))
    assert is_answer(answer)
    machines[0].close()
    turns()
    assert [plug.name for plug in engine.plugs.values()] == ["vm-2"]
    listening.close()
    listening.close()
    assert not path.exists()
    assert len(engine.plugs) == 1


def test_names_come_from_the_path_and_framings_may_differ(engine, runtime_root, connect, turns):
    path = runtime_root / "net"
    listening = listen_stream(
        engine.loop, path, lambda link, name: engine.plug(link, name=name), framing=VMNET
    )
    machine = connect()
    turns()
    [plug] = engine.plugs.values()
    plug.link.send([(b"frame",)])
    assert plug.name == "net"
    assert machine.recv(100) == b"\5\0frame"
    listening.close()


def test_who_cannot_be_taken_in_is_turned_away(engine, runtime_root, connect, turns, caplog):
    def refuse(link, name):
        raise SampanError("no room")

    listening = listen_stream(engine.loop, runtime_root / "net", refuse)
    machine = connect()
    with caplog.at_level(logging.ERROR, "sampan"):
        turns()
    assert "is given up" in caplog.text
    assert machine.recv(1) == b""
    listening.close()
