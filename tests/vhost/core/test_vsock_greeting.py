"""What clients say, in both dialects, and what they do not get away with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.vhost.core import vsock_greeting
from sampan.vhost.core.vsock_greeting import Greeting


@pytest.mark.parametrize(
    ("line", "greeting"),
    [
        (b"00000003.00000946\n", Greeting(2374, 3, wants_answer=False)),
        (b"0000000A.fffffffe\n", Greeting(2**32 - 2, 10, wants_answer=False)),
        (b"CONNECT 52\n", Greeting(52, None, wants_answer=True)),
        (b"connect  1024 \r\n", Greeting(1024, None, wants_answer=True)),
        (b"00000003.ffffffff\n", None),
        (b"CONNECT 4294967295\n", None),
        (b"CONNECT -1\n", None),
        (b"CONNECT\n", None),
        (b"3.946\n", None),
        (b"00000003.00000946", None),
        (b"\n", None),
    ],
)
def test_greetings(line, greeting):
    assert vsock_greeting.read(line) == greeting


@given(st.integers(3, 2**32 - 2), st.integers(0, 2**32 - 2))
def test_what_is_said_is_understood(cid, port):
    line = vsock_greeting.hyperkit(cid, port)
    assert len(line) == 18
    assert vsock_greeting.read(line) == Greeting(port, cid, wants_answer=False)


@given(st.binary(max_size=64))
def test_anything_may_be_said(line):
    vsock_greeting.read(line)


def test_answers_and_names():
    assert vsock_greeting.answer(1 << 30) == b"OK 1073741824\n"
    assert vsock_greeting.names_for_guest_port(3, 2374) == (
        "00000003.00000946", "guest.00000946",
    )  # fmt: skip
    assert vsock_greeting.names_for_host_port(5000) == ("00000002.00001388", "v.sock_5000")
