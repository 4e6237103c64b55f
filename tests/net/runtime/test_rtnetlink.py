import errno
import os
import socket
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.runtime import rtnetlink
from sampan.net.runtime.rtnetlink import Rtnetlink, addresses_in, attribute, attributes, messages

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def message(kind, body):
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body.ljust(
        (len(body) + 3) & ~3, b"\0"
    )


def native(number):
    return number.to_bytes(4, sys.byteorder)


class Kernel:
    """Says what it is told to, and keeps what it was asked."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    def send(self, data):
        self.asked += messages(data)

    def recv(self, size):
        return self.answers.pop(0)

    def close(self):
        pass


@pytest.fixture
def speak():
    """A conversation with a kernel that answers so."""

    def go(*answers):
        made = Rtnetlink()
        made._socket.close()
        kernel = Kernel(*answers)
        made._socket = kernel  # type: ignore[assignment]
        return made, kernel

    return go


DONE = message(2, struct.pack("=i", 0) + bytes(16))


def test_the_addresses_of_this_host():
    with Rtnetlink() as kernel:
        found = kernel.addresses()
    assert bytes([127, 0, 0, 1]) in found
    assert {len(each) for each in found} <= {4, 16}


def test_addresses_come_in_several_messages(speak):
    one, two = (message(20, bytes(8) + attribute(2, each)) for each in (A, B))
    talk, _ = speak(one + two, message(20, bytes(8) + attribute(1, bytes(16))) + message(3, b""))
    assert talk.addresses() == {A, B, bytes(16)}


def test_on_a_link_between_two_the_own_end_counts():
    body = bytes(8) + attribute(1, B) + attribute(2, A) + attribute(3, b"ppp0\0")
    assert list(addresses_in(body)) == [A]
    assert list(addresses_in(bytes(8) + attribute(1, b"what?"))) == []


def test_the_kernel_says_no(speak):
    no = message(2, struct.pack("=i", -errno.EPERM) + bytes(16))
    talk, _ = speak(no, no)
    with pytest.raises(PermissionError):
        talk.addresses()
    with pytest.raises(PermissionError):
        talk.set_link(1, up=True)


def test_a_device_is_configured(speak):
    talk, kernel = speak(DONE)
    talk.set_link(7, mtu=1500, mac=b"\2\0\0\0\0\1", queue=9, up=True)
    [(kind, body)] = kernel.asked
    assert kind == 16
    assert struct.unpack_from("=BxHiII", body) == (0, 0, 7, 1, 1)
    assert dict(attributes(body[16:])) == {1: b"\2\0\0\0\0\1", 4: native(1500), 13: native(9)}


def test_an_address_with_its_broadcast(speak):
    talk, kernel = speak(DONE, DONE)
    talk.add_address(7, bytes([10, 0, 2, 100]), 23)
    talk.add_address(7, bytes(15) + b"\1", 64)
    (_, four), (_, six) = kernel.asked
    assert struct.unpack_from("=BBBBI", four) == (socket.AF_INET, 23, 0, 0, 7)
    assert dict(attributes(four[8:]))[4] == bytes([10, 0, 3, 255])
    assert struct.unpack_from("=BBBBI", six) == (socket.AF_INET6, 64, 0, 0, 7)
    assert 4 not in dict(attributes(six[8:]))


def test_a_default_route(speak):
    talk, kernel = speak(DONE)
    talk.add_default_route(7, A)
    [(kind, body)] = kernel.asked
    assert (kind, body[:2]) == (24, bytes([socket.AF_INET, 0]))
    assert dict(attributes(body[12:])) == {5: A, 4: native(7)}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_an_ordinary_user_may_not_configure():
    with Rtnetlink() as kernel:
        with pytest.raises(PermissionError):
            kernel.set_link(1, up=False)


@given(st.binary(max_size=200))
def test_nonsense_ends(data):
    for _, body in messages(data):
        list(addresses_in(body))
    list(attributes(data))


@given(st.binary(max_size=50), st.integers(0, 1000))
def test_attributes_are_read_as_written(value, kind):
    data = attribute(kind, value)
    assert list(attributes(data * 2)) == [(kind, value)] * 2
    assert len(data) % 4 == 0


def test_the_waiting_is_bounded():
    with Rtnetlink() as kernel:
        assert kernel._socket.gettimeout() == rtnetlink._WAIT_S
