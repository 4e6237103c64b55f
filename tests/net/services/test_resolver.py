import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.net.services.resolver import MAX_SERVERS, Resolver, Server, parse


def test_a_file_as_hosts_have_it():
    text = """# made by something
nameserver 192.168.1.1
nameserver fe80::1%eth0
; more
search lan  example.com
options ndots:2 timeout:3 attempts:4 rotate edns0 use-vc
"""
    assert parse(text) == Resolver(
        servers=(Server("192.168.1.1"), Server("fe80::1%eth0")),
        search=("lan", "example.com"),
        ndots=2,
        timeout_s=3,
        attempts=4,
        use_tcp=True,
    )


def test_an_empty_file_has_no_servers():
    assert parse("") == Resolver()


def test_the_last_search_line_counts():
    assert parse("search a b\ndomain c\n").search == ("c",)
    assert parse("domain c\nsearch a b\n").search == ("a", "b")


@pytest.mark.parametrize(
    "text",
    [
        "nameserver", "nameserver nonsense", "nameserver 1.2.3", "#nameserver 1.1.1.1",
        ";nameserver 1.1.1.1", "options", "options ndots:x", "options ndots:99999999999999", "what ever",
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_passed_over(text):
    found = parse(text)
    assert found.servers == ()
    assert found.ndots == 1


def test_names_that_are_none_are_left_out():
    assert parse(f"search {'x' * 70} ok a..b").search == ("ok",)


def test_numbers_are_kept_within_reason():
    found = parse("options timeout:1000 attempts:0 ndots:99")
    assert (found.timeout_s, found.attempts, found.ndots) == (30, 1, 15)


def test_servers_are_bounded_and_asked_once():
    text = "".join(f"nameserver 10.0.0.{n}\n" * 2 for n in range(50))
    assert parse(text).servers == tuple(Server(f"10.0.0.{n}") for n in range(MAX_SERVERS))


@given(st.text())
def test_any_text_is_read(text):
    for each in (text, f"nameserver {text}", f"search {text}", f"options {text}"):
        assert len(parse(each).servers) <= MAX_SERVERS
