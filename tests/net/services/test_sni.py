import ssl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.net.services.sni import MAX_HELLO, Verdict, server_name


def hello(name: str | None) -> bytes:
    """What Python's own TLS sends first."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = context.wrap_bio(into, out, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    return out.read()


HELLO = hello("www.Example.com")


def test_the_name_openssl_sends():
    assert server_name(HELLO) == "www.example.com"
    assert server_name(HELLO + b"more that follows") == "www.example.com"


def test_a_hello_that_is_not_all_there_yet():
    for length in range(len(HELLO)):
        assert server_name(HELLO[:length]) is Verdict.MORE


def test_a_hello_spread_over_records():
    body = HELLO[5:]
    records = b"".join(
        b"\x16\x03\x01" + len(body[at : at + 50]).to_bytes(2, "big") + body[at : at + 50]
        for at in range(0, len(body), 50)
    )
    assert server_name(records) == "www.example.com"
    assert server_name(records[:-1]) is Verdict.MORE


def test_tls_without_a_name():
    assert server_name(hello(None)) is Verdict.NONE


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n", b"\x16\x02\0\0\0", b"\x17\x03\x01\0\x05", b"\x16\x03\x01\0\x04\x02\0\0\0",
        b"\x16\x03\x01\0\0", b"\x16\x03\x01\0\x04\x01\xff\xff\xff", b"\x16\x03\x01\0\x04\x01\0\0\0",
    ],
    ids=["HTTP", "SSL 2", "data", "a ServerHello", "an empty record", "too long", "empty"],
)  # fmt: skip
def test_what_is_no_hello(data):
    assert server_name(data) is Verdict.NONE


def test_a_name_that_would_end_a_header_is_none():
    assert server_name(HELLO.replace(b"www.Example.com", b"www.\r\nEvil: com")) is Verdict.NONE


def test_who_sends_more_than_enough_gets_no_more_patience():
    flood = (b"\x16\x03\x01\x40\0\x01\0\x3f\xff" + bytes(MAX_HELLO))[:MAX_HELLO]
    assert server_name(flood[:-1]) is Verdict.MORE
    assert server_name(flood) is Verdict.NONE


@given(st.integers(0, len(HELLO)), st.binary(max_size=8))
@settings(max_examples=300)
def test_damage_is_no_crash(at, noise):
    server_name(HELLO[:at] + noise + HELLO[at + len(noise) :])
