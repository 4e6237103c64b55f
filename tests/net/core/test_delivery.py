from scapy.layers.inet import IP, UDP, defragment
from scapy.layers.inet6 import IPv6, defragment6
from scapy.layers.l2 import Ether

from sampan.net.core.delivery import Delivery
from sampan.net.core.limit import Limits
from sampan.net.core.network import Network
from sampan.net.core.port import Port
from sampan.net.wire.address import parse_ip

MAC = b"\x02\0\0\0\0\1"


def deliver(source, destination, payload):
    port = Port(1, Limits())
    delivery = Delivery(Network())
    delivery.datagram(port, MAC, (parse_ip(source), 53), (parse_ip(destination), 4000), payload)
    return [Ether(b"".join(frame)) for frame in port.outgoing]


def test_datagram():
    [frame] = deliver("192.168.65.1", "192.168.65.3", b"hello")
    assert frame.dst == "02:00:00:00:00:01"
    assert bytes(frame[UDP].payload) == b"hello"


def test_large_datagrams_are_fragmented():
    payload = bytes(number & 255 for number in range(6000))
    frames = deliver("192.168.65.1", "192.168.65.3", payload)
    assert max(map(len, frames)) <= 1514
    [whole] = defragment([IP(bytes(frame[IP])) for frame in frames])
    assert bytes(whole[UDP].payload) == payload
    frames6 = deliver("fdc0:a841:6500::1", "fdc0:a841:6500::3", payload)
    assert max(map(len, frames6)) <= 1514
    whole6 = defragment6([IPv6(bytes(frame[IPv6])) for frame in frames6])
    assert bytes(whole6)[48:] == payload
