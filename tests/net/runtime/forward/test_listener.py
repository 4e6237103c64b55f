"""A listener that ends, and the gateway's ports. What it does is tested with the table."""

import socket

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.forward.listener import Listener, Sources


def test_closing_twice_is_closing(net):
    listening = socket.create_server(("127.0.0.1", 0))
    listener = Listener(net.outbound, listening, lambda: None)
    listener.close()
    listener.close()


def test_ports_of_the_gateway_come_round(net):
    sources = Sources(net.engine)
    seen = [sources.endpoint(net.machine.ip) for _ in range(Sources.LAST - Sources.FIRST + 2)]
    assert seen[0] == seen[-1] == Endpoint(net.network.gateway, Sources.FIRST)
    assert len(set(seen)) == len(seen) - 1


def test_nobody_elsewhere_can_be_reached(net):
    assert Sources(net.engine).open(Endpoint(bytes([8, 8, 8, 8]), 80)) is None
