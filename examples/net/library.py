"""A network as a library: a machine made of bytes, a port of the host, and the control API.

    python examples/net/library.py

The machine sends a datagram to the host and is answered; what the network saw of it is then
asked for as any program may, over a Unix socket.
"""

import socket
import tempfile
import threading
from pathlib import Path

from sampan import net
from sampan.net.runtime.attach.memory import MemoryLink
from sampan.net.runtime.control.assembled import serving
from sampan.net.runtime.control.client import Client
from sampan.net.services import forward
from sampan.net.wire.ethernet import EtherType, Frame
from sampan.net.wire.ipv4 import Ipv4, Protocol
from sampan.net.wire.udp import Udp

MACHINE, HOST = bytes([192, 168, 65, 3]), bytes([192, 168, 65, 254])
GATEWAY_MAC, MAC = bytes.fromhex("f61636bcf9c6"), bytes.fromhex("020000000001")


def question(port):
    """A frame of the machine: a datagram to a port of the host."""
    datagram = Udp(4000, port, b"who are you?").emit(MACHINE, HOST)
    packet = Ipv4(MACHINE, HOST, Protocol.UDP, datagram).emit()
    return Frame(GATEWAY_MAC, MAC, EtherType.IPV4, packet).emit()


def main():
    answered = threading.Event()

    def received(frames):
        if any(b"the host" in frame for frame in frames):
            answered.set()

    machine = MemoryLink(received)
    with (
        tempfile.TemporaryDirectory(prefix="sampan-") as folder,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        net.UserNetwork(net.Settings(forwards=forward.parse("0:80"))) as network,
        serving(network, Path(folder) / "net.sock", name="example"),
    ):
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        network.plug(machine, name="machine")
        machine.give(question(server.getsockname()[1]))
        asked, sender = server.recvfrom(1500)
        print(f"the host was asked {asked.decode()!r}")
        server.sendto(b"the host", sender)
        assert answered.wait(10), "the machine got no answer"

        elsewhere = Client(Path(folder) / "net.sock")
        (flow,) = elsewhere.flows()
        print(f"{flow.kind}: {flow.machine} sent {flow.sent} bytes to port {flow.peer_port}")
        (listening,) = elsewhere.forwards()
        print(f"port {listening.port} of this computer is port 80 of the machine")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
