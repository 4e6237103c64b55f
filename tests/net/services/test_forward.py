import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.errors import UsageError
from sampan.net.services.forward import Forward, Protocol, describe, parse, parse_description

UDP = Protocol.UDP


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080:80", Forward(port=8080, guest_port=80)),
        ("8080:80/tcp", Forward(port=8080, guest_port=80)),
        ("53:53/udp", Forward(port=53, guest_port=53, protocol=UDP)),
        ("0:80", Forward(port=0, guest_port=80)),
        ("0.0.0.0:8080:80", Forward(bind="0.0.0.0", port=8080, guest_port=80)),
        (":8080:80", Forward(port=8080, guest_port=80)),
        ("[::1]:8080:80", Forward(bind="::1", port=8080, guest_port=80)),
        ("[0::1]:8080:[fd00::3]:80", Forward(bind="::1", port=8080, guest="fd00::3", guest_port=80)),
        ("8080:web:80", Forward(port=8080, guest="web", guest_port=80)),
        ("8080:192.168.65.3:80", Forward(port=8080, guest="192.168.65.3", guest_port=80)),
        ("127.0.0.2:5353:dns:53/udp",
         Forward(bind="127.0.0.2", port=5353, guest="dns", guest_port=53, protocol=UDP)),
        ("/run/web.sock:80", Forward(path="/run/web.sock", guest_port=80)),
        ("unix:web.sock:web:80", Forward(path="web.sock", guest="web", guest_port=80)),
        ("./a/udp:80", Forward(path="./a/udp", guest_port=80)),
    ],
)  # fmt: skip
def test_forms(text, expected):
    assert parse(text) == (expected,)


def test_a_range_is_one_forward_for_each_port():
    found = parse("0.0.0.0:8000-8002:web:9000-9002/udp")
    assert [(each.port, each.guest_port) for each in found] == [
        (8000, 9000),
        (8001, 9001),
        (8002, 9002),
    ]
    assert {(each.bind, each.guest, each.protocol) for each in found} == {("0.0.0.0", "web", UDP)}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("80", "no guest port"),
        ("", "no guest port"),
        ("80:80/sctp", "neither tcp nor udp"),
        ("1:2:3:4:5", "too many colons"),
        ("::1:80:80", "too many colons"),
        ("[::1:80:80", "brackets"),
        ("[::1]80:80", "brackets"),
        ("x:80", "'x' is not a host port"),
        ("80:x", "'x' is not a guest port"),
        ("80:0", "guest port 0"),
        ("65536:80", "host port 65536"),
        ("80:99999", "guest port 99999"),
        ("8000-8002:80", "differ in length"),
        ("8002-8000:82-80", "ends before it begins"),
        ("1-2000:1-2000", "at most 1024"),
        ("0-1:1-2", "does not begin with 0"),
        ("localhost:80:80", "'localhost' is not an IP address"),
        ("80:-x:80", "'-x' is no name"),
        ("80:1.2.3:80", r"'1\.2\.3' is no name"),
        ("²:80", "not a host port"),
        ("/run/x", "no guest port"),
        ("unix::80", "1 to 103 bytes"),
        ("/" + "x" * 103 + ":80", "1 to 103 bytes"),
        ("/run/x:80/udp", "no datagrams"),
        ("/run/x:a:b:80", "too many colons"),
    ],
)
def test_what_is_wrong_is_said(text, why):
    with pytest.raises(UsageError, match=why) as caught:
        parse(text)
    assert "8080:80" in str(caught.value.hint)


forwards = st.builds(
    Forward,
    port=st.integers(0, 65535),
    guest_port=st.integers(1, 65535),
    bind=st.ip_addresses().map(str).filter(lambda text: "%" not in text),
    guest=st.one_of(st.just(""), st.just("web-1.lan"), st.ip_addresses().map(str)),
    protocol=st.sampled_from(Protocol),
)


@given(forwards)
def test_what_is_written_is_read(forward):
    assert parse(str(forward)) == (forward,)


@given(forwards)
def test_vpnkit_names_are_read(forward):
    guest = forward.guest or "192.168.65.3"
    found = parse_description(describe(forward, guest))
    assert (found.bind, found.port, found.guest, found.guest_port, found.protocol) == (
        forward.bind,
        forward.port,
        guest,
        forward.guest_port,
        forward.protocol,
    )


def test_vpnkits_control_lines():
    assert parse_description("tcp:0.0.0.0:8080:tcp:192.168.65.3:80\n") == Forward(
        bind="0.0.0.0", port=8080, guest="192.168.65.3", guest_port=80
    )
    unix = Forward(path="/run/x", guest="10.0.0.1", guest_port=80)
    assert str(unix) == "/run/x:10.0.0.1:80"
    line = describe(unix, "10.0.0.1")
    assert line == f"unix:{base64.b64encode(b'/run/x').decode()}:tcp:10.0.0.1:80"
    assert parse_description(line) == unix


@pytest.mark.parametrize(
    "text",
    [
        "", "tcp", "sctp:1.1.1.1:80:sctp:1.1.1.1:80", "tcp:1.1.1.1:80:udp:1.1.1.1:80",
        "tcp:x:80:tcp:1.1.1.1:80", "unix:L3g=:unix:L3g=", "unix:???:tcp:1.1.1.1:80",
        "tcp:tcp:tcp:tcp:tcp:tcp", "tcp:1.1.1.1:80:tcp:80", "unix::tcp:1.1.1.1:80",
    ],
)  # fmt: skip
def test_control_lines_that_make_no_sense(text):
    with pytest.raises(UsageError):
        parse_description(text)


@given(st.text(alphabet="0123456789:-[]./abtcpudxni=", max_size=40))
@settings(max_examples=500)
def test_any_text_is_a_forward_or_refused(text):
    for read in (parse, parse_description):
        try:
            read(text)
        except UsageError:
            continue
