"""Ports that a machine asks for."""

import socket

import msgspec
import pytest

from sampan.errors import UsageError
from sampan.net.link import multiplex
from sampan.net.link.multiplex import Destination
from sampan.net.runtime.forward.asked import AskedForwards
from sampan.net.runtime.forward.binding import PortTakenError
from sampan.net.services.portcontrol import Allowed, Port

WEB = Port(proto="tcp", in_ip="172.17.0.2", in_port=80)


@pytest.fixture
def asked(forwards):
    return AskedForwards(forwards, Allowed.LOOPBACK)


@pytest.fixture
def web(asked):
    """A port that was asked for, with the number it got."""
    asked.expose(WEB)
    return asked.ports[0]


def test_it_leads_where_it_was_asked_to(guest, forwards, reach, web):
    assert (web.out_ip, web.in_ip, web.in_port) == ("127.0.0.1", "172.17.0.2", 80)
    reach(forwards.forwards[0])
    guest.channel()
    assert guest.destinations == [Destination(multiplex.Protocol.TCP, bytes([172, 17, 0, 2]), 80)]


def test_asked_again(asked, forwards, web):
    before = forwards.forwards
    asked.expose(web)
    assert (asked.ports, forwards.forwards) == ((web,), before)
    asked.expose(msgspec.structs.replace(web, out_ip=""))  # which is the same, for this machine
    assert forwards.forwards == before


def test_asked_for_elsewhere(asked, forwards, web):
    """And whoever had it before does not remove it."""
    other = msgspec.structs.replace(web, in_ip="172.17.0.3")
    asked.expose(other)
    assert asked.ports == (other,)
    asked.unexpose(web)
    assert asked.ports == (other,)
    asked.unexpose(other)
    assert (asked.ports, forwards.forwards) == ((), ())


def test_any_port_is_another_each_time(asked, web):
    asked.expose(WEB)
    assert len({each.out_port for each in asked.ports}) == 2


def test_removed_by_the_host(asked, forwards, web):
    forwards.unexpose(forwards.forwards[0])
    assert asked.ports == ()
    asked.unexpose(web)
    asked.expose(web)
    assert asked.ports == (web,)


def test_removed_by_the_host_and_asked_for_again(asked, forwards, web):
    forwards.unexpose(forwards.forwards[0])
    asked.expose(web)
    assert asked.ports == (web,)
    assert len(forwards.forwards) == 1


def test_taken_by_others(asked):
    with socket.create_server(("127.0.0.1", 0)) as server:
        wanted = msgspec.structs.replace(WEB, out_port=server.getsockname()[1])
        with pytest.raises(PortTakenError):
            asked.expose(wanted)
    assert asked.ports == ()


def test_not_allowed(asked):
    with pytest.raises(UsageError):
        asked.expose(msgspec.structs.replace(WEB, out_ip="192.0.2.1"))


def test_sockets(guest, forwards, reach, tmp_path):
    asked = AskedForwards(forwards, Allowed.ALL)
    path = str(tmp_path / "s")
    port = Port(proto="unix", out_path=path, in_path="/run/one")
    asked.expose(port)
    other = msgspec.structs.replace(port, in_path="/run/other")
    asked.expose(other)
    assert asked.ports == (other,)
    reach(forwards.forwards[0])
    guest.channel()
    assert guest.destinations == [Destination(multiplex.Protocol.UNIX, path=b"/run/other")]
    asked.unexpose(port)
    assert asked.ports == (other,)
    asked.unexpose(other)
    assert not (tmp_path / "s").exists()
