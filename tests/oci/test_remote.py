import pytest

from sampan.errors import UsageError
from sampan.oci.remote import Endpoint, Login, Mirror, Proxy, Remote, is_loopback


@pytest.mark.parametrize(
    ("text", "mirror"),
    [
        ("https://cache.test", Mirror("*", "https", "cache.test")),
        ("*=http://cache.test:5000", Mirror("*", "http", "cache.test:5000")),
        ("quay.test=https://cache.test/", Mirror("quay.test", "https", "cache.test")),
        ("docker.io=http://c.test", Mirror("docker.io", "http", "c.test")),
        ("index.docker.io=http://c.test", Mirror("docker.io", "http", "c.test")),
        ("registry-1.docker.io=http://c.test", Mirror("docker.io", "http", "c.test")),
        ("docker.io=https://c.test/v/hub", Mirror("docker.io", "https", "c.test", "v/hub")),
        ("http://[::1]:5000", Mirror("*", "http", "[::1]:5000")),
    ],
)
def test_mirrors_are_parsed(text, mirror):
    assert Mirror.parse(text) == mirror


@pytest.mark.parametrize(
    "text",
    ["", "cache.test", "ftp://x", "https://", "a b=https://x", "https://user:pw@x", "https://x?y",
     "https://x#y", "https://[x", "https://x/UPPER", "=https://x", "docker.io="],
)  # fmt: skip
def test_what_is_no_mirror_is_refused(text):
    with pytest.raises(UsageError) as caught:
        Mirror.parse(text)
    assert str(caught.value) == f"{text!r} is not a mirror"
    assert caught.value.hint == "write it as https://HOST or REGISTRY=https://HOST"


def test_logins_hide_their_password():
    login = Login.parse("r.test:5000=me:pa:ss=word")
    assert login == Login("r.test:5000", "me", "pa:ss=word")
    assert "word" not in repr(login)
    assert Login.parse("index.docker.io=me:x").registry == "docker.io"
    for text in ("me:secret", "r.test=secret", "r.test=:secret"):
        with pytest.raises(UsageError) as caught:
            Login.parse(text)
        assert str(caught.value) == "registry credentials have the wrong form"


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("localhost:5000", True), ("127.0.0.1", True), ("127.9.9.9:1", True),
     ("[::1]:5000", True), ("[::1]", True), ("10.0.0.1:80", False), ("localhost.test", False),
     ("127.0.0.1.test", False), ("[fe80::1]:5", False)],
)  # fmt: skip
def test_loopback_is_known_without_asking(host, expected):
    assert is_loopback(host) is expected


def test_a_registry_is_its_own_origin():
    remote = Remote(plain_http=frozenset({"lan.test:5000"}))
    assert remote.origin("r.test") == Endpoint("r.test", "https", "r.test")
    assert remote.origin("docker.io") == Endpoint("registry-1.docker.io", "https", "docker.io")
    assert remote.origin("lan.test:5000") == Endpoint("lan.test:5000", "http", "lan.test:5000")
    assert remote.origin("localhost:5000").scheme == ""


def test_mirrors_come_first_and_the_registry_last():
    remote = Remote(
        mirrors=(
            Mirror.parse("http://all.test"),
            Mirror.parse("docker.io=https://hub.test/p"),
            Mirror.parse("quay.test=https://other.test"),
        )
    )
    hub = remote.sources("docker.io")
    assert [source.host for source in hub] == ["hub.test", "all.test", "registry-1.docker.io"]
    assert hub[0].prefix == "p"
    assert hub[0].registry == "hub.test"  # whose credentials are used
    assert [source.host for source in remote.sources("quay.test")] == [
        "other.test", "all.test", "quay.test",
    ]  # fmt: skip


def test_a_mirror_that_is_the_registry_says_how_to_reach_it():
    remote = Remote(mirrors=(Mirror.parse("lan.test:5000=http://lan.test:5000"),))
    assert remote.sources("lan.test:5000") == (Endpoint("lan.test:5000", "http", "lan.test:5000"),)
    assert remote.allows_plain("lan.test:5000")


def test_plain_http_is_only_for_loopback_or_when_asked():
    remote = Remote(plain_http=frozenset({"a.test"}), mirrors=(Mirror.parse("https://b.test"),))
    assert remote.allows_plain("localhost:1")
    assert remote.allows_plain("a.test")
    assert not remote.allows_plain("b.test")
    assert not remote.allows_plain("a.test:81")


def test_proxies_spare_what_is_exempt():
    proxy = Proxy("http://p:1", "http://p:2", (".corp.test", "10.0.0.0/8", "one.test", ""))
    assert proxy.url("http", "x.test") == "http://p:1"
    assert proxy.url("https", "x.test") == "http://p:2"
    for host in ("corp.test", "a.corp.test", "10.2.3.4", "one.test", "A.ONE.test", "localhost"):
        assert proxy.url("https", host) == "", host
    assert proxy.url("https", "zone.test") == "http://p:2"
    assert Proxy(https="http://p", exempt=("*",)).url("https", "x.test") == ""
