"""Sockets of forwards, and the errors that say why there is none."""

import errno
import os
import socket

import pytest

from sampan.net.runtime.forward.binding import BindError, PortTakenError, bind
from sampan.net.services.forward import Forward, Protocol


def test_tcp_listens():
    with bind(Forward(guest_port=80)) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"
        with socket.create_connection(bound.getsockname()):
            bound.accept()[0].close()


def test_udp_is_bound():
    with bind(Forward(guest_port=53, protocol=Protocol.UDP)) as bound:
        assert bound.type == socket.SOCK_DGRAM


def test_ipv6_does_not_take_ipv4_with_it():
    with bind(Forward(guest_port=80, bind="::")) as bound:
        port = bound.getsockname()[1]
        with bind(Forward(guest_port=80, bind="0.0.0.0", port=port)):
            pass


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_taken_port_names_its_owner(protocol):
    with bind(Forward(guest_port=80, protocol=protocol)) as bound:
        port = bound.getsockname()[1]
        with pytest.raises(
            PortTakenError, match=f"port {port}/{protocol} .*process {os.getpid()}"
        ) as caught:
            bind(Forward(guest_port=80, port=port, protocol=protocol))
    assert caught.value.owner is not None
    assert caught.value.owner.pid == os.getpid()


def test_an_address_of_somebody_else():
    with pytest.raises(BindError, match=r"192\.0\.2\.1 is not an address"):
        bind(Forward(guest_port=80, bind="192.0.2.1"))


@pytest.mark.parametrize(
    ("number", "text"), [(errno.EACCES, "only be used by root"), (errno.ENOMEM, "cannot forward")]
)
def test_other_errors(monkeypatch, number, text):
    class Refusing(socket.socket):
        def bind(self, address):
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr("socket.socket", Refusing)
    with pytest.raises(BindError, match=text):
        bind(Forward(guest_port=80, port=80))


def test_a_unix_socket_is_its_owners(tmp_path):
    path = tmp_path / "s"
    with bind(Forward(guest_port=80, path=str(path))):
        assert path.stat().st_mode & 0o777 == 0o600


def test_what_was_left_behind_is_replaced(tmp_path):
    path = str(tmp_path / "s")
    bind(Forward(guest_port=80, path=path)).close()
    with bind(Forward(guest_port=80, path=path)) as bound, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        bound.accept()[0].close()


def test_a_path_where_somebody_listens(tmp_path):
    path = str(tmp_path / "s")
    with bind(Forward(guest_port=80, path=path)):
        with pytest.raises(PortTakenError, match=f"process {os.getpid()}"):
            bind(Forward(guest_port=80, path=path))


def test_no_file_of_others_is_removed(tmp_path):
    path = tmp_path / "s"
    path.write_text("precious")
    with pytest.raises(BindError, match="in use"):
        bind(Forward(guest_port=80, path=str(path)))
    assert path.read_text() == "precious"


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(BindError, match="cannot make a socket"):
        bind(Forward(guest_port=80, path=str(tmp_path / "none/s")))
