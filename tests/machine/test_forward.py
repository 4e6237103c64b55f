from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import UsageError
from sampan.machine.forward import Forward, Protocol


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8080:80", Forward(host_port=8080, guest_port=80)),
        ("8080:80/tcp", Forward(host_port=8080, guest_port=80)),
        ("53:53/udp", Forward(host_port=53, guest_port=53, protocol=Protocol.UDP)),
        ("0.0.0.0:8080:80", Forward(host_port=8080, guest_port=80, bind="0.0.0.0")),
        ("[::1]:8080:80", Forward(host_port=8080, guest_port=80, bind="::1")),
        ("0:22", Forward(host_port=0, guest_port=22)),
    ],
)
def test_what_people_type(text, expected):
    assert Forward.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it has no guest port"),
        ("80", "it has no guest port"),
        ("8080:", "'' is not a guest port"),
        ("8080:80/sctp", "'sctp' is neither tcp nor udp"),
        ("8080:80/", "'' is neither tcp nor udp"),
        ("http:80", "'http' is not a host port"),
        ("8080:+80", "'+80' is not a guest port"),
        ("8080:٨٠", "'٨٠' is not a guest port"),
        ("8080:0", "guest port 0 is not between 1 and 65535"),
        ("65536:80", "host port 65536 is not between 0 and 65535"),
        ("123456:80", "'123456' is not a host port"),
        ("localhost:8080:80", "'localhost' is not an IP address"),
        ("1:2:3:4", "it has too many colons"),
        ("[::1:8080:80", "the bracket of its address is not closed"),
        ("[::1]:80", "it has no guest port"),
        ("::1:8080:80", "it has too many colons"),
    ],
)
def test_mistakes_are_told_with_the_form(text, why):
    with pytest.raises(UsageError) as caught:
        Forward.parse(text)
    assert caught.value.message == f"cannot publish {text!r}: {why}"
    assert "[BIND:]HOST:GUEST[/tcp|udp]" in (caught.value.hint or "")


@given(
    st.builds(
        Forward,
        host_port=st.integers(0, 65535),
        guest_port=st.integers(1, 65535),
        bind=st.ip_addresses().map(str),
        protocol=st.sampled_from(Protocol),
    )
)
def test_text_round_trip(forward):
    assert Forward.parse(str(forward)) == forward


@given(st.text(alphabet="0123456789:./[]tcpud-x ", max_size=30))
def test_any_text_is_a_forward_or_a_usage_error(text):
    with suppress(UsageError):
        Forward.parse(text)
