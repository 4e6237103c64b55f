"""What machines ask of the host, and what they get."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import UsageError
from sampan.net.services import forward
from sampan.net.services.forward import Forward, Protocol
from sampan.net.services.portcontrol import Allowed, Port, asked

WEB = Port(
    proto="tcp", out_ip="127.0.0.1", out_port=8080, in_ip="172.17.0.2", in_port=80, annotation="x"
)
SOCKET = Port(proto="unix", out_path="/tmp/docker.sock", in_path="/var/run/docker.sock")


def changed(port, **fields):
    return msgspec.structs.replace(port, **fields)


def test_vpnkits_json():
    """As its Go client writes it."""
    said = (
        b'{"proto":"tcp","out_ip":"127.0.0.1","out_port":8080,"in_ip":"172.17.0.2","in_port":80,'
        b'"annotation":"x"}'
    )
    assert msgspec.json.decode(said, type=Port) == WEB
    assert msgspec.json.encode(WEB) == said


@pytest.mark.parametrize("allowed", [Allowed.LOOPBACK, Allowed.ALL])
def test_a_port(allowed):
    assert asked(WEB, allowed) == Forward(
        bind="127.0.0.1", port=8080, guest="172.17.0.2", guest_port=80
    )
    udp = asked(changed(WEB, proto="udp", in_ip="", out_ip="::1"), allowed)
    assert (udp.protocol, udp.guest, udp.bind) == (Protocol.UDP, "127.0.0.1", "::1")


@pytest.mark.parametrize(
    ("out_ip", "loopback", "everywhere"),
    [("", "127.0.0.1", "0.0.0.0"), ("0.0.0.0", "127.0.0.1", "0.0.0.0"), ("::", "::1", "::")],
)
def test_all_addresses(out_ip, loopback, everywhere):
    port = changed(WEB, out_ip=out_ip)
    assert asked(port, Allowed.LOOPBACK).bind == loopback
    assert asked(port, Allowed.ALL).bind == everywhere


def test_a_socket():
    assert asked(SOCKET, Allowed.ALL) == Forward(path="/tmp/docker.sock", guest_port=0)


@pytest.mark.parametrize(
    ("port", "allowed", "why"),
    [
        (WEB, Allowed.NONE, "may not ask"),
        (changed(WEB, out_ip="192.0.2.1"), Allowed.LOOPBACK, "of loopback addresses, not of"),
        (SOCKET, Allowed.LOOPBACK, "not for sockets"),
        (changed(WEB, proto="sctp"), Allowed.ALL, "tcp, udp or unix"),
        (changed(WEB, proto=""), Allowed.ALL, "tcp, udp or unix"),
        (changed(WEB, in_port=0), Allowed.ALL, "is missing"),
        (changed(WEB, in_ip="web"), Allowed.ALL, "no address in the machine"),
        (changed(WEB, out_ip="*"), Allowed.ALL, "no address of the host"),
        (changed(SOCKET, out_path="docker.sock"), Allowed.ALL, "no absolute path"),
        (changed(SOCKET, in_path=""), Allowed.ALL, "no absolute path"),
        (changed(SOCKET, in_path="/" + "x" * 107), Allowed.ALL, "at most 107 bytes"),
        (changed(SOCKET, out_path="/a\0b"), Allowed.ALL, "no absolute path"),
    ],
)
def test_refused(port, allowed, why):
    with pytest.raises(UsageError, match=why):
        asked(port, allowed)


@given(
    st.builds(
        Port,
        proto=st.sampled_from(["tcp", "udp", "unix", ""]) | st.text(max_size=5),
        out_ip=st.ip_addresses().map(str) | st.text(max_size=8),
        out_port=st.integers(0, 65535),
        out_path=st.text(max_size=120),
        in_ip=st.ip_addresses().map(str) | st.text(max_size=8),
        in_port=st.integers(0, 65535),
        in_path=st.text(max_size=120),
    ),
    st.sampled_from(Allowed),
)
def test_whatever_is_asked(port, allowed):
    """It is refused, or a forward that can be written down and read again."""
    try:
        found = asked(port, allowed)
    except UsageError:
        return
    assert allowed is not Allowed.NONE
    if not found.path:
        assert forward.parse(str(found)) == (found,)
