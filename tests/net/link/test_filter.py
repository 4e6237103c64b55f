import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether

from sampan.errors import UsageError
from sampan.net.link.filter import MAX_DEPTH, compile_filter, headers

HTTP = bytes(Ether() / IP(src="192.168.65.3", dst="1.2.3.4") / TCP(sport=40000, dport=80))
DNS = bytes(Ether() / IP(src="192.168.65.3", dst="192.168.65.1") / UDP(sport=40000, dport=53))
SIX = bytes(Ether() / IPv6(src="fd00::3", dst="2001:db8::1") / TCP(sport=1, dport=443))
PING = bytes(Ether() / IP(src="1.2.3.4", dst="192.168.65.3") / ICMP())
PING6 = bytes(Ether() / IPv6(src="fd00::3", dst="fd00::1") / ICMPv6EchoRequest())
WHO = bytes(Ether() / ARP())
LATER = bytes(Ether() / IP(src="1.2.3.4", dst="192.168.65.3", proto=17, frag=10) / (b"\0\x35" * 8))
ALL = {
    "http": HTTP,
    "dns": DNS,
    "six": SIX,
    "ping": PING,
    "ping6": PING6,
    "who": WHO,
    "later": LATER,
}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "http dns six ping ping6 who later"),
        ("tcp", "http six"),
        ("udp", "dns later"),
        ("icmp or icmp6", "ping ping6"),
        ("arp", "who"),
        ("ip6", "six ping6"),
        ("ip", "http dns ping later"),
        ("port 80", "http"),
        ("src port 80", ""),
        ("dst port 80", "http"),
        ("udp port 53", "dns"),
        ("tcp port 53", ""),
        ("portrange 50-80", "http dns"),
        ("host 1.2.3.4", "http ping later"),
        ("dst host 1.2.3.4", "http"),
        ("host FD00::3", "six ping6"),
        ("net fd00::/64", "six ping6"),
        ("src net 192.168.65.7/24", "http dns"),
        ("not ip", "six ping6 who"),
        ("! ( ip or ip6 )", "who"),
        ("not not arp", "who"),
        ("tcp and port 80 or udp", "http dns later"),
        ("tcp and (port 80 or port 443)", "http six"),
        ("TCP && port 443 || ARP", "six who"),
        ("ip host 1.2.3.4 and not tcp", "ping later"),
    ],
)
def test_expressions(text, wanted):
    takes = compile_filter(text)
    assert {name for name, frame in ALL.items() if takes(frame)} == set(wanted.split())


@pytest.mark.parametrize(
    ("text", "why", "caret"),
    [
        ("tcp and", "expected host", 7),
        ("tcp port", "expected a port", 8),
        ("port x", "expected a port", 5),
        ("port 80-90", "expected a port", 5),
        ("portrange 80", "8000-8010", 10),
        ("portrange 90-80", "lower first", 10),
        ("port 65536", "65535", 5),
        ("host web", "expected an address", 5),
        ("host 10.0.0.0/8", "expected an address", 5),
        ("net x", "expected a network", 4),
        ("(tcp", r"expected `\)`", 4),
        ("tcp udp", "expected `and` or `or`", 4),
        ("tcp )", "expected `and` or `or`", 4),
        ("src tcp", "expected host", 4),
        ("tcp and what", "expected host", 8),
        ("(" * (MAX_DEPTH + 1), "brackets deep", MAX_DEPTH + 1),
    ],
)
def test_an_error_has_a_caret(text, why, caret):
    with pytest.raises(UsageError, match=why) as caught:
        compile_filter(text)
    line = caught.value.message.splitlines()[-1]
    assert line == "    " + " " * caret + "^"


def test_a_filter_is_bounded():
    with pytest.raises(UsageError, match="4096 are enough"):
        compile_filter("tcp or " * 1000 + "tcp")
    assert not compile_filter("not " * 1001 + "tcp")(HTTP)


@given(
    st.lists(
        st.sampled_from([*"()", "tcp", "and", "or", "not", "host", "1.2.3.4", "port", "80", "src"]),
        max_size=9,
    )
)
def test_any_words_compile_or_are_refused(words):
    try:
        takes = compile_filter(" ".join(words))
    except UsageError:
        return
    for frame in ALL.values():
        takes(frame)


@given(st.binary(max_size=90))
def test_any_frame_can_be_asked_about(noise):
    for frame in (noise, HTTP[:14] + noise, SIX[:14] + noise, HTTP[:34] + noise):
        headers(frame)
