import errno
import socket

import pytest

from sampan.machine import port
from sampan.machine.forward import Forward, Protocol


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_taken_port_is_named(kind):
    protocol = Protocol.TCP if kind == socket.SOCK_STREAM else Protocol.UDP
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        number = taken.getsockname()[1]
        forward = Forward(host_port=number, guest_port=80, protocol=protocol)
        with pytest.raises(port.PortError) as caught:
            port.check((forward,))
        assert (
            caught.value.message == f"host port {number}/{protocol} is already in use on 127.0.0.1"
        )
        assert f"{number + 1}:80/{protocol}" in (caught.value.hint or "")
    port.check((forward,))


def test_twice_the_same():
    forward = Forward(host_port=45999, guest_port=80)
    with pytest.raises(port.PortError, match="45999/tcp is published twice"):
        port.check((forward, forward))


def test_any_port_twice_is_fine():
    port.check((Forward.parse("0:80"), Forward.parse("0:80")))


def test_address_of_somebody_else():
    with pytest.raises(port.PortError, match=r"192\.0\.2\.1 is not an address of this computer"):
        port.check((Forward.parse("192.0.2.1:0:80"),))


@pytest.mark.parametrize(
    ("number", "message"),
    [(errno.EACCES, "may only be published by root"), (errno.ENETDOWN, "cannot publish host port")],
)
def test_other_refusals(monkeypatch, number, message):
    class Refusing(socket.socket):
        def bind(self, address):
            raise OSError(number, "refused")

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(port.PortError, match=message):
        port.check((Forward.parse("80:80"),))
