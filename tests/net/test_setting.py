"""Settings of a network: what is derived, and what is refused."""

import pytest

from sampan.errors import UsageError
from sampan.net import setting
from sampan.net.setting import Fixed, Settings
from sampan.net.wire.address import format_ip


def test_addresses_that_are_not_given_come_from_the_subnet():
    found = setting.addresses(Settings())
    assert [format_ip(each) for each in (found.gateway, found.host, found.lowest, found.highest)] == [
        "192.168.65.1", "192.168.65.254", "192.168.65.3", "192.168.65.253",
    ]  # fmt: skip
    assert format_ip(found.host6) == "fdc0:a841:6500::fe"


def test_a_small_subnet_has_room_for_all_of_them():
    found = setting.addresses(Settings(subnet="10.0.0.8/29"))
    assert [format_ip(each) for each in (found.gateway, found.lowest, found.highest, found.host)] == [
        "10.0.0.9", "10.0.0.11", "10.0.0.13", "10.0.0.14",
    ]  # fmt: skip


def test_the_stack_answers_for_gateway_host_and_metadata():
    network = setting.network(Settings(mtu=9000))
    assert {"192.168.65.1", "192.168.65.254", "169.254.169.254"} <= set(
        map(format_ip, network.ours)
    )
    assert network.mtu == 9000
    assert network.gateway6 == network.resolvers6[0]


def test_a_network_without_ipv6():
    settings = Settings(prefix6="")
    assert setting.addresses(settings).host6 == b""
    assert not setting.network(settings).gateway6


def test_limits():
    found = setting.limits(Settings(max_connections=7, idle_s=5, names_per_s=9))
    assert (found.flows, found.udp_idle_s, found.names_per_s) == (7, 5, 9)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"subnet": "192.168.65.0"}, "/8 to /29"),
        ({"subnet": "192.168.65.1/24"}, "host bits"),
        ({"subnet": "fd00::/64"}, "no IPv4 subnet"),
        ({"subnet": "10.0.0.0/30"}, "/8 to /29"),
        ({"gateway": "10.0.0.1"}, "no address of a station"),
        ({"gateway": "192.168.65.255"}, "no address of a station"),
        ({"host": "x"}, "no IPv4 address"),
        ({"host": "192.168.65.1"}, "the same address"),
        ({"mtu": 100}, "MTU"),
        ({"host_names": ("a..b",)}, "'a..b' is no name"),
        ({"gateway_names": ("",)}, "'' is no name"),
        ({"mtu": 65521}, "MTU"),
        ({"prefix6": "fd00::/48"}, "/64"),
        ({"prefix6": "nothing"}, "no IPv6 prefix"),
        ({"fixed": (Fixed(mac="x", address="192.168.65.9"),)}, "no MAC"),
        ({"fixed": (Fixed(mac="02:00:00:00:00:01", address="1.2.3.4"),)}, "fixed address"),
    ],
)  # fmt: skip
def test_what_makes_no_sense(change, text):
    with pytest.raises(UsageError, match=text):
        setting.addresses(Settings(**change))
