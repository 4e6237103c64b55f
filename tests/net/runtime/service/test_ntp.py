import struct

import pytest

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.service.ntp import NtpService

GATEWAY = Endpoint(bytes([192, 168, 65, 1]), 123)
NOW_S = 1_700_000_000.25
REQUEST = bytes([4 << 3 | 3]) + bytes(39) + b"transmit"


class Clock:
    def monotonic_s(self):
        return 0.0

    def wall_s(self):
        return NOW_S


@pytest.fixture
def service(net):
    return NtpService(net.engine, Clock())


def test_the_hosts_time(net, service):
    own = net.machine.udp(REQUEST, GATEWAY)
    net.until(lambda: net.machine.datagrams)
    [datagram] = net.machine.datagrams
    assert (datagram.source, datagram.destination) == (GATEWAY, own)
    assert datagram.payload[24:32] == b"transmit"
    seconds, fraction = struct.unpack("!II", datagram.payload[40:])
    assert seconds + fraction / (1 << 32) == NOW_S + 2_208_988_800


@pytest.mark.parametrize(
    ("payload", "destination"),
    [
        (b"nonsense", GATEWAY),
        (bytes([4 << 3 | 6]) + REQUEST[1:], GATEWAY),
        (REQUEST, Endpoint(b"\xff" * 4, 123)),
    ],
)
def test_what_is_not_answered(net, service, payload, destination):
    net.machine.udp(payload, destination)
    net.settle()
    assert net.machine.datagrams == []


def test_the_clock_of_this_computer(net):
    NtpService(net.engine)
    net.machine.udp(REQUEST, GATEWAY)
    net.until(lambda: net.machine.datagrams)
