"""A listening socket when descriptors are short, and the gateway's ports."""

import errno
import socket

from sampan.net.core.endpoint import Endpoint
from sampan.net.runtime.forward.listener import PAUSE_S, Listener, Sources


class Short(socket.socket):
    """Has no descriptor for a connection, until it is told otherwise."""

    is_short = True

    def accept(self):
        if self.is_short:
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


def test_it_waits_while_there_are_no_descriptors(net):
    listening = Short()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.setblocking(False)
    listener = Listener(net.outbound, listening, lambda: None)
    net.closing.append(listener.close)
    with socket.create_connection(listening.getsockname()):
        for _ in range(3):
            net.loop.run_once(0.0)
        assert listener.accepted == 0
        listening.is_short = False
        net.advance(2 * PAUSE_S)
        net.until(lambda: listener.accepted == 1)


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
