import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import UsageError
from sampan.net.services import gateway
from sampan.net.services.gateway import GatewayForward, Protocol

ONE = {"protocol": "udp", "external_port": 5, "internal_ip": "::1", "internal_port": 6}


def parse(*objects):
    return gateway.parse(json.dumps(objects).encode())


def test_forwards():
    first, second = parse(ONE, {**ONE, "protocol": "tcp", "internal_ip": "127.0.0.1"})
    assert first == GatewayForward(
        protocol=Protocol.UDP, external_port=5, internal_ip="::1", internal_port=6
    )
    assert second.protocol is Protocol.TCP
    assert parse() == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "sctp"}, "sctp"),
        ({"external_port": 0}, "0 is no port"),
        ({"internal_port": 65536}, "65536 is no port"),
        ({"internal_ip": "localhost"}, "'localhost' is no address"),
        ({"external_ip": "x"}, "external_ip"),
        ({"external_port": "80"}, "Expected `int`"),
    ],
)
def test_what_makes_no_sense(change, message):
    with pytest.raises(UsageError) as caught:
        parse({**ONE, **change})
    assert message in caught.value.message


def test_twice_and_too_many():
    with pytest.raises(UsageError, match="port 5/udp of the gateway twice"):
        parse(ONE, ONE)
    with pytest.raises(UsageError, match="more than"):
        parse(*[ONE] * (gateway.MAX_FORWARDS + 1))


@given(st.binary())
def test_any_bytes(data):
    with suppress(UsageError):
        gateway.parse(data)
