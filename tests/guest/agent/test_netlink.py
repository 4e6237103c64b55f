import os
import socket
import struct

import pytest

from sampan.guest.agent import netlink
from sampan.guest.agent.document import Interface
from sampan.guest.agent.fault import AgentError

HEADER = struct.Struct("=IHHII")
BODY = HEADER.size + 16


def attributes(data):
    """The attributes of a message as {type: bytes}."""
    found = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        found[kind] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def test_move():
    message = netlink.move("eth1", 77)
    length, kind, flags, _, _ = HEADER.unpack_from(message)
    assert (length, kind, flags) == (len(message), 16, 0x5)
    assert attributes(message[BODY:]) == {3: b"eth1\0", 19: struct.pack("=I", 77)}


def test_create_in_the_namespace():
    message = netlink.create("wg0", "wireguard", 5)
    assert HEADER.unpack_from(message)[2] == 0x605
    found = attributes(message[BODY:])
    assert attributes(found[18]) == {1: b"wireguard\0"}
    assert found[19] == struct.pack("=I", 5)
    assert 19 not in attributes(netlink.create("wg0", "wireguard", None)[BODY:])


def test_veth_names_its_peer():
    info = attributes(attributes(netlink.create_veth("a", "b")[BODY:])[18])
    assert info[1] == b"veth\0"
    peer = attributes(info[2])[1]
    assert attributes(peer[16:]) == {3: b"b\0"}


@pytest.mark.parametrize(
    ("interface", "expected"),
    [
        (Interface("e", "", "", False), [netlink.move("e", 9)]),
        (Interface("e", "dummy", "", False), [netlink.create("e", "dummy", 9)]),
        (
            Interface("e", "dummy", "", True),
            [netlink.create("e", "dummy", None), netlink.move("e", 9)],
        ),
        (
            Interface("e", "veth", "f", False),
            [netlink.create_veth("e", "f"), netlink.move("e", 9)],
        ),
    ],
)
def test_what_each_kind_of_interface_needs(interface, expected):
    assert list(netlink.messages(interface, 9)) == expected


def test_attributes_are_padded():
    for name in ("a", "ab", "abc", "abcd"):
        assert len(netlink.move(name, 1)) % 4 == 0


class FakeSocket:
    """The kernel's end of a netlink socket: answers every message with an error number."""

    def __init__(self, number):
        self.number = number
        self.sent = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def bind(self, address):
        assert address == (0, 0)

    def send(self, message):
        self.sent.append(message)

    def recv(self, _):
        return HEADER.pack(36, 2, 0, 1, 0) + struct.pack("=i", -self.number) + bytes(16)


@pytest.mark.parametrize("number", [0, 19])
def test_the_kernels_answer(monkeypatch, number):
    fake = FakeSocket(number)
    monkeypatch.setattr(socket, "socket", lambda *_: fake)
    if number == 0:
        netlink.give(Interface("e", "dummy", "", True), 9)
        assert len(fake.sent) == 2
    else:
        with pytest.raises(AgentError) as caught:
            netlink.give(Interface("e", "dummy", "", False), 9)
        assert str(caught.value) == f"interface e (dummy): {os.strerror(19)}"
