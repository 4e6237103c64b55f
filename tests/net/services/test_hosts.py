import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services.hosts import (
    Book,
    Entry,
    Hosts,
    machine_label,
    machine_names,
    network_names,
    parse,
)
from sampan.net.wire.address import parse_ip
from sampan.net.wire.dns import format_name, parse_name

TEXT = (
    """
127.0.0.1   localhost myhost   # the usual
::1         localhost ip6-localhost
10.0.0.5    db.lan db DB2
fd00::5     db.lan
0.0.0.0     advert.example
nonsense    x
10.0.0.6
10.0.0.7    """
    + "x" * 64
)


def book(*tables: Hosts, **options) -> Book:
    made = Book(**options)
    for number, table in enumerate(tables):
        made.replace(str(number), table)
    return made


def test_a_hosts_file_without_the_hosts_loopback():
    assert parse(TEXT) == Hosts(
        (Entry("10.0.0.5", ("db.lan", "db", "DB2")), Entry("fd00::5", ("db.lan",)))
    )


def test_the_hosts_loopback_as_an_address_that_reaches_it():
    found = parse(TEXT, loopback="192.168.65.254").entries
    assert found[:2] == (
        Entry("192.168.65.254", ("myhost",)),
        Entry("192.168.65.254", ("ip6-localhost",)),
    )


def test_names_and_addresses_both_ways():
    names = book(parse(TEXT))
    assert names.addresses(parse_name("DB.lan")) == (parse_ip("10.0.0.5"), parse_ip("fd00::5"))
    assert names.addresses(parse_name("db2")) == (parse_ip("10.0.0.5"),)
    assert names.addresses(parse_name("other.lan")) is None
    assert names.name(parse_ip("10.0.0.5")) == parse_name("db.lan")
    assert names.name(parse_ip("10.0.0.99")) is None


def test_the_host_and_the_gateway():
    names = book(network_names(["192.168.65.254"], ["192.168.65.1", "fd00::1"]))
    for text in ("host.sampan.internal", "host.docker.internal"):
        assert names.addresses(parse_name(text)) == (parse_ip("192.168.65.254"),)
    assert names.addresses(parse_name("gateway.docker.internal")) == (
        parse_ip("192.168.65.1"),
        parse_ip("fd00::1"),
    )
    name = names.name(parse_ip("192.168.65.254"))
    assert name is not None
    assert format_name(name) == "host.sampan.internal"


def test_more_names_of_the_host_and_the_gateway():
    names = book(
        network_names(
            ["192.168.65.254"], ["192.168.65.1"], host_names=["mac.lan"], gateway_names=["gw.lan"]
        )
    )
    for text in ("mac.lan", "host.docker.internal"):
        assert names.addresses(parse_name(text)) == (parse_ip("192.168.65.254"),)
    assert names.addresses(parse_name("GW.lan")) == (parse_ip("192.168.65.1"),)
    name = names.name(parse_ip("192.168.65.254"))
    assert name is not None
    assert format_name(name) == "host.sampan.internal"


def test_machines_come_and_go():
    names = book(machine_names([("web", "192.168.65.3"), ("", "192.168.65.4")]))
    assert names.addresses(parse_name("web")) == (parse_ip("192.168.65.3"),)
    assert names.addresses(parse_name("WEB.Sampan.Internal")) == (parse_ip("192.168.65.3"),)
    names.replace("0", Hosts())
    assert names.addresses(parse_name("web")) is None
    assert names.addresses(parse_name("web.sampan.internal")) == ()


def test_our_domain_and_networks_never_leak():
    names = book(networks=["192.168.65.0/24", "fd00::/64"])
    assert names.addresses(parse_name("nobody.sampan.internal")) == ()
    assert names.addresses(parse_name("sampan.internal")) == ()
    assert names.addresses(parse_name("notsampan.internal")) is None
    assert names.name(parse_ip("192.168.65.200")) == ()
    assert names.name(parse_ip("fd00::9")) == ()
    assert names.name(parse_ip("192.168.66.1")) is None


def test_the_first_table_answers():
    names = book(Hosts((Entry("10.0.0.1", ("x",)),)), Hosts((Entry("10.0.0.2", ("x", "y")),)))
    assert names.addresses((b"x",)) == (parse_ip("10.0.0.1"),)
    assert names.name(parse_ip("10.0.0.2")) == (b"x",)


def test_a_table_that_makes_no_sense():
    with pytest.raises(ValueError, match="nonsense"):
        book(Hosts((Entry("nonsense", ("x",)),)))


@given(st.text())
def test_any_text_is_read_and_can_be_asked(text):
    for each in (text, f"10.0.0.1 {text}", f"{text} x"):
        book(parse(each, loopback="10.0.0.9"))


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Web", "web"),
        ("build-1.example.com", "build-1"),
        ("host", ""),
        ("WPAD", ""),
        ("-x", ""),
        ("x-", ""),
        ("-", ""),
        ("a b", ""),
        ("a" * 64, ""),
        ("ü", ""),
        ("", ""),
    ],
)
def test_machine_label(text, label):
    assert machine_label(text) == label
