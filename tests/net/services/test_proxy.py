import base64

import pytest

from sampan.errors import UsageError
from sampan.net.services.proxy import AbsoluteUri, Direct, Proxy, Settings, Tunnel, connect, decide

PROXY = Proxy(host="proxy.lan", port=3128)
BOTH = Settings(http=PROXY, https=PROXY)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://proxy.lan:3128", PROXY),
        ("proxy.lan:3128", PROXY),
        ("http://Proxy.LAN:3128/", PROXY),
        ("https://proxy.lan", Proxy(host="proxy.lan", port=443, tls=True)),
        ("proxy.lan", Proxy(host="proxy.lan", port=80)),
        ("http://[::1]:8080", Proxy(host="::1", port=8080)),
    ],
)
def test_proxies_as_people_write_them(text, expected):
    assert Proxy.parse(text) == expected


def test_credentials():
    found = Proxy.parse("http://me:p%40ss@proxy.lan:3128")
    assert found.authorization == "Basic " + base64.b64encode(b"me:p@ss").decode()


@pytest.mark.parametrize(
    "text", ["socks5://x:1", "http://", "http://me:secret@x:99999", "http://[x"]
)
def test_what_is_no_proxy(text):
    with pytest.raises(UsageError, match="not the URL of a proxy") as caught:
        Proxy.parse(text)
    assert "secret" not in str(caught.value)


def test_settings_as_the_environment_has_them():
    found = Settings.parse("", "proxy.lan:3128", "localhost, .Corp 10.0.0.0/8")
    assert found == Settings(https=PROXY, excludes=("localhost", ".corp", "10.0.0.0/8"))


def test_plain_http_by_absolute_uri_and_tls_by_tunnel():
    assert decide(BOTH, "example.com", "1.2.3.4", 80) == AbsoluteUri(PROXY)
    tunnel = decide(BOTH, "example.com", "1.2.3.4", 443)
    request = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
    assert tunnel == Tunnel(PROXY, request)
    assert decide(BOTH, "", "1.2.3.4", 443) == Tunnel(
        PROXY, request.replace(b"example.com", b"1.2.3.4")
    )
    assert decide(BOTH, "example.com", "1.2.3.4", 8080) == Direct()
    assert decide(Settings(http=PROXY), "example.com", "1.2.3.4", 443) == Direct()


def test_a_tunnel_with_credentials_to_an_ipv6_address():
    proxy = Proxy(host="p", port=1, authorization="Basic eDp5")
    assert connect(proxy, "fd00::1", 443) == (
        b"CONNECT [fd00::1]:443 HTTP/1.1\r\nHost: [fd00::1]:443\r\n"
        b"Proxy-Authorization: Basic eDp5\r\n\r\n"
    )
    with pytest.raises(ValueError, match="no host"):
        connect(proxy, "x\r\nEvil: 1", 443)


@pytest.mark.parametrize(
    ("exclude", "name", "address", "excluded"),
    [
        ("*", "example.com", "1.2.3.4", True),
        ("example.com", "Example.com.", "1.2.3.4", True),
        ("example.com", "www.example.com", "1.2.3.4", True),
        ("example.com", "notexample.com", "1.2.3.4", False),
        (".example.com", "www.example.com", "1.2.3.4", True),
        ("*.example.com", "www.example.com", "1.2.3.4", True),
        ("example.com:80", "example.com", "1.2.3.4", True),
        ("example.com:443", "example.com", "1.2.3.4", False),
        ("1.2.3.4", "", "1.2.3.4", True),
        ("1.2.3.4:80", "", "1.2.3.4", True),
        ("1.2.0.0/16", "example.com", "1.2.3.4", True),
        ("1.2.0.0/16", "example.com", "1.3.3.4", False),
        ("fd00::/8", "", "fd00::1", True),
        ("[fd00::1]:80", "", "fd00::1", True),
        ("", "localhost", "1.2.3.4", True),
        ("", "x", "127.0.0.1", True),
        ("", "", "1.2.3.4", False),
        (".", "example.com", "1.2.3.4", False),
    ],
)
def test_exclusions(exclude, name, address, excluded):
    settings = Settings.parse("proxy.lan:3128", "", exclude)
    assert (decide(settings, name, address, 80) == Direct()) is excluded
