import math
from itertools import pairwise

from scapy.layers.inet6 import (
    ICMPv6ND_RA,
    ICMPv6NDOptMTU,
    ICMPv6NDOptPrefixInfo,
    ICMPv6NDOptRDNSS,
    IPv6,
)

from sampan.net.core.advert import FIRST_COUNT, FIRST_INTERVAL_S, INTERVAL_S, Advertiser
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire import address, ndp
from sampan.net.wire.address import parse_ip
from sampan.net.wire.ipv4 import Protocol


def test_often_at_first_then_seldom():
    advertiser, port = Advertiser(Network()), Port(1, Limits())
    times: list[float] = []
    while len(times) < FIRST_COUNT + 2:
        when = advertiser.next_timer()
        times.append(when)
        advertiser.timer_fired(when, [port])
    gaps = [after - before for before, after in pairwise(times)]
    assert gaps == [FIRST_INTERVAL_S] * (FIRST_COUNT - 1) + [INTERVAL_S] * 2
    assert len(port.outgoing) == len(times)
    advertiser.timer_fired(times[-1], [port])
    assert len(port.outgoing) == len(times)


def test_what_it_says():
    network = Network(resolvers6=(parse_ip("fdc0:a841:6500::1"),))
    port = Port(1, Limits(), mtu=1400)
    Advertiser(network).advertise(port)
    [(frame,)] = port.outgoing
    layer = IPv6(bytes(frame[14:]))
    assert (layer.src, layer.dst, layer.hlim) == (address.format_ip(network.link_local6), "ff02::1", 255)  # fmt: skip
    assert layer[ICMPv6ND_RA].routerlifetime == 1800
    assert layer[ICMPv6NDOptPrefixInfo].prefix == "fdc0:a841:6500::"
    assert layer[ICMPv6NDOptMTU].mtu == 1400
    assert layer[ICMPv6NDOptRDNSS].dns == ["fdc0:a841:6500::1"]


def test_silent_without_ipv6():
    advertiser, port = Advertiser(Network(prefix6=b"")), Port(1, Limits())
    advertiser.advertise(port)
    assert port.outgoing == []
    assert advertiser.next_timer() == math.inf


def test_whoever_asks_is_answered(make_machine6):
    machine = make_machine6()
    source = address.link_local(machine.mac)
    group = address.ALL_ROUTERS_IPV6
    body = ndp.RouterSolicitation(machine.mac).message().emit(source, group)
    machine.packet(
        Protocol.ICMPV6, body, source=source, destination=group, hop_limit=255,
        to=address.multicast_mac(group),
    )  # fmt: skip
    [packet] = machine.packets()
    assert packet.payload[0] == 134
