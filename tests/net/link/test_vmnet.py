import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.link import vmnet
from sampan.net.link.error import LinkError
from sampan.net.link.vmnet import Client, Command, Init, Server, Vif

ID = uuid.UUID("12345678-1234-5678-1234-567812345678")
MAC = bytes.fromhex("f61636bcf9c6")
ADDRESS = bytes([192, 168, 65, 7])


@given(st.integers(1, 60), st.sampled_from([b"", ADDRESS]))
def test_both_sides_find_each_other_however_the_stream_is_cut(size, preferred):
    server, client = Server(), Client(Command(ID, preferred))
    to_server, to_client = client.greeting, b""
    granted = None
    frames = b"\x03\0abc"
    while to_server or to_client:
        out, command = server.received(to_server[:size])
        to_server = to_server[size:]
        to_client += out
        if command is not None:
            assert command == Command(ID, preferred)
            to_client += Vif(MAC, 1500).emit() + frames
        out, vif = client.received(to_client[:size])
        to_client = to_client[size:]
        to_server += out
        granted = granted or vif
        if granted:
            break
    assert granted == Vif(MAC, 1500, 1550)
    assert (client.rest + to_client) == frames


def test_the_bytes_on_the_wire():
    init = Init(commit=b"c" * 40).emit()
    assert init == b"VMN3T\x16\0\0\0" + b"c" * 40
    assert Init.parse(init) == Init(22, b"c" * 40)
    command = Command(ID, ADDRESS).emit()
    assert command == b"\x08" + str(ID).encode() + bytes([7, 65, 168, 192])
    assert (len(init), len(command)) == (49, 41)
    reply = Vif(MAC, 1500).emit()
    assert reply[:11] == b"\x01\xdc\x05\x0e\x06" + MAC
    assert len(reply) == len(vmnet.refusal("no")) == 258


def test_a_machine_is_turned_away():
    client = Client(Command(ID))
    client.received(Init().emit())
    with pytest.raises(LinkError, match="turned this machine away: no room"):
        client.received(vmnet.refusal("no room"))


def test_a_long_reason_is_cut():
    with pytest.raises(LinkError, match=r"x{255}$"):
        vmnet.parse_reply(vmnet.refusal("x" * 1000))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n" * 4,
        Init().emit() + b"\x02" + bytes(40),
        Init().emit() + b"\x01" + b"x" * 36 + bytes(4),
        Init().emit() + b"\x01" + b"\xff" * 36 + bytes(4),
    ],
    ids=["another protocol", "unknown command", "no UUID", "no text"],
)
def test_who_is_no_client(data):
    with pytest.raises(LinkError):
        Server().received(data)


def test_a_reply_nobody_knows():
    with pytest.raises(LinkError, match="replies 9"):
        vmnet.parse_reply(b"\x09" + bytes(257))
