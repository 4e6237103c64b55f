import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.machine import usernet
from sampan.machine.forward import Forward

REPORT = """\
Hub -1 (net0):
  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ
  TCP[ESTABLISHED]   20       127.0.0.1 41805       10.0.2.15    80     0     0
  TCP[HOST_FORWARD]  12       127.0.0.1 41805       10.0.2.15    80     0     0\r
  UDP[HOST_FORWARD]  13               *    53       10.0.2.15    53     0     0\r
  TCP[HOST_FORWARD]  14       127.0.0.1  8080       10.0.2.15    80     0     0\r
"""
ANY, DNS, FIXED = map(Forward.parse, ("41805:80", "0.0.0.0:53:53/udp", "8080:80"))


def test_rows():
    assert usernet.listening(REPORT) == (ANY, DNS, FIXED)


def test_any_port_gets_the_row_that_no_fixed_one_has():
    wanted = (Forward.parse("0:80"), DNS, FIXED)
    assert usernet.resolve(wanted, usernet.listening(REPORT)) == (ANY, DNS, FIXED)


@pytest.mark.parametrize("text", ["8081:80", "8080:81", "8080:80/udp", "0.0.0.0:8080:80"])
def test_what_is_not_listening_is_named(text):
    forward = Forward.parse(text)
    with pytest.raises(LookupError, match=str(forward).replace(".", r"\.")):
        usernet.resolve((forward,), usernet.listening(REPORT))


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3)), max_size=6))
def test_order_is_kept(pairs):
    wanted = tuple(Forward(host_port=host, guest_port=guest) for host, guest in pairs)
    found = tuple(
        Forward(host_port=forward.host_port or 100 + index, guest_port=forward.guest_port)
        for index, forward in enumerate(wanted)
    )
    resolved = usernet.resolve(wanted, tuple(reversed(found)))
    assert sorted(map(str, resolved)) == sorted(map(str, found))
    for forward, real in zip(wanted, resolved, strict=True):
        assert forward.guest_port == real.guest_port
        assert forward.host_port in (0, real.host_port)
