from sampan.net.core.endpoint import Endpoint, key_of
from sampan.net.wire.address import parse_ip

A, B = Endpoint(parse_ip("10.0.0.1"), 80), Endpoint(parse_ip("10.0.0.2"), 0x1234)


def test_text():
    assert str(A) == "10.0.0.1:80"
    assert str(Endpoint(parse_ip("fe80::1"), 53)) == "[fe80::1]:53"


def test_key_is_what_follows_one_another_in_a_packet():
    assert key_of(A, B).hex() == "0a0000010a00000200501234"
