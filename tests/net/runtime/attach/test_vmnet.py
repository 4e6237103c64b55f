import socket
import uuid

import pytest

from sampan.net.link import vmnet
from sampan.net.link.error import LinkError
from sampan.net.link.stream import VMNET, Decoder
from sampan.net.link.vmnet import Client, Command, Vif
from sampan.net.runtime.attach.vmnet import HANDSHAKE_S, listen_vmnet

ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
MAC = bytes.fromhex("020000000001")


class Network:
    """Grants cards, and knows who asked."""

    def __init__(self, engine, path):
        self.engine = engine
        self.asked = []
        self.answer: Vif | str | Exception = Vif(MAC)
        self.fail = False
        self.listener = listen_vmnet(engine.loop, path, self.grant, self.join)

    def grant(self, command):
        self.asked.append(command)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def join(self, link, name, mac):
        if self.fail:
            raise ValueError("ours")
        return self.engine.plug(link, name=name, mac=mac)


@pytest.fixture
def network(engine, runtime_root):
    made = Network(engine, runtime_root / "net")
    yield made
    made.listener.close()


@pytest.fixture
def machine(network, runtime_root):
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(60)
        made.connect(str(runtime_root / "net"))
        yield made


def handshake(machine, turns, command, behind=b""):
    """What the machine is granted, and what came behind that."""
    client = Client(command)
    machine.sendall(client.greeting)
    while True:
        turns()
        out, vif = client.received(machine.recv(1000))
        if vif is not None:
            return vif, client.rest
        machine.sendall(out + behind)


def test_a_machine_gets_a_card_and_speaks(engine, network, machine, turns, question, is_answer):
    command = Command(ID, bytes([192, 168, 65, 9]))
    vif, rest = handshake(machine, turns, command, behind=VMNET.encode(question))
    assert vif == Vif(MAC, 1500, 1550)
    assert network.asked == [command]
    [plug] = engine.plugs.values()
    assert (plug.name, plug.port.mac) == (str(ID), MAC)
    turns()
    decoder = Decoder(VMNET)
    [answer] = decoder.received(rest) or decoder.received(machine.recv(1000))
    assert is_answer(answer)
    engine.loop.run_once(0)
    machine.close()
    turns()
    assert engine.plugs == {}


def test_a_machine_may_be_refused(engine, network, machine, turns):
    network.answer = "no more addresses"
    with pytest.raises(LinkError, match="turned this machine away: no more addresses"):
        handshake(machine, turns, Command(ID))
    assert machine.recv(1) == b""
    assert engine.plugs == {}


@pytest.mark.parametrize("said", [b"GET / HTTP/1.1\r\n\r\n" * 10, b""], ids=["http", "nothing"])
def test_who_speaks_otherwise_is_turned_away(engine, network, machine, turns, said):
    turns()
    if said:
        machine.sendall(said)
    else:
        machine.shutdown(socket.SHUT_WR)
    turns()
    assert machine.recv(100) == b""


def test_who_says_nothing_in_time_is_turned_away(engine, network, machine, turns, clock):
    machine.send(vmnet.Init().emit())
    turns()
    clock.time += HANDSHAKE_S
    turns()
    machine.recv(100)
    assert machine.recv(100) == b""


@pytest.mark.parametrize("fault", ["grant", "join"])
def test_faults_of_ours_cost_the_connection(engine, network, machine, turns, fault, caplog):
    network.answer = ValueError("ours") if fault == "grant" else Vif(MAC)
    network.fail = fault == "join"
    machine.sendall(vmnet.Init().emit() + Command(ID).emit())
    turns()
    assert "ValueError: ours" in caplog.text
    while machine.recv(1000):
        pass
    assert engine.plugs == {}
