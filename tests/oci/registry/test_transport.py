import base64
import socket
import threading
import warnings

import pytest

from sampan.errors import UsageError
from sampan.oci.registry.fault import (
    BrokenTransferError,
    OversizeError,
    RegistryError,
    TlsError,
    UnreachableError,
)
from sampan.oci.registry.transport import Body, Request, Transport, joined, split_url
from sampan.oci.remote import Proxy, Remote


@pytest.fixture
def transport():
    with Transport(Remote()) as made:
        yield made


def get(registry, path="/v2/", **options):
    return Request("GET", registry.url + path, **options)


def test_an_answer_is_read_whole(transport, registry):
    registry.on("GET", "x", registry.reply(418, b"teapot", {"X-Thing": "1"}))
    answer = transport.fetch(get(registry, "/x"))
    assert (answer.status, answer.body, answer.headers["x-thing"]) == (418, b"teapot", "1")
    assert registry.seen[0].headers["user-agent"] == "sampan"


def test_an_answer_is_bounded(transport, registry):
    registry.on("GET", "x", registry.reply(200, b"x" * 101))
    with pytest.raises(OversizeError) as caught:
        transport.fetch(get(registry, "/x"), limit=100)
    assert str(caught.value) == f"{registry.host} sends more than the 100 bytes it may"


def test_nothing_is_decoded_behind_our_back(transport, registry):
    registry.on("GET", "x", registry.reply(200, b"\x1f\x8bnot gzip", {"Content-Encoding": "gzip"}))
    assert transport.fetch(get(registry, "/x")).body == b"\x1f\x8bnot gzip"


def test_a_body_has_its_length(transport, registry):
    registry.on("PUT", "x", registry.reply())
    body = Body(6, lambda: iter([b"abc", b"def"]))
    transport.fetch(Request("PUT", f"{registry.url}/x", body=body))
    assert registry.seen[0].body == b"abcdef"
    assert "transfer-encoding" not in registry.seen[0].headers


def test_nobody_listens(transport):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(UnreachableError) as caught:
            transport.fetch(Request("GET", f"http://{host}/v2/"))
    assert str(caught.value) == f"cannot reach registry {host}: Connection refused"
    assert caught.value.hint == ("check its name and your network; a proxy is named by HTTPS_PROXY")
    assert not caught.value.transient  # nobody should wait for that


def test_no_such_host(transport, monkeypatch):
    def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UnreachableError) as caught:
        transport.fetch(Request("GET", "https://nowhere.test/v2/"))
    assert str(caught.value) == (
        "cannot reach registry nowhere.test: no host of that name is known"
    )
    assert not caught.value.transient


def test_a_name_server_that_is_busy(transport, monkeypatch):
    def busy(*_args, **_options):
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", busy)
    with pytest.raises(UnreachableError) as caught:
        transport.fetch(Request("GET", "https://nowhere.test/v2/"))
    assert caught.value.transient


@pytest.mark.parametrize("cut", [0, 5])
def test_a_short_answer_is_noticed(transport, registry, cut):
    registry.on("GET", "x", registry.reply(200, b"0123456789", cut=cut))
    with pytest.raises(BrokenTransferError) as caught:
        transport.fetch(get(registry, "/x"))
    assert str(caught.value) == (
        f"the connection to {registry.host} broke: it ended before everything was there"
    )
    assert caught.value.hint == "try again; what has arrived is kept"


def test_what_came_before_the_end_is_given_out(transport, registry):
    registry.on("GET", "x", registry.reply(200, b"0123456789", cut=5))
    came = []
    with transport.stream(get(registry, "/x")) as stream:
        with pytest.raises(BrokenTransferError):
            came.extend(stream.chunks())
    assert b"".join(came) == b"01234"


def test_a_server_that_hangs_up(transport, registry):
    registry.on("GET", "x", registry.reply(hang_up=True))
    with pytest.raises(BrokenTransferError) as caught:
        transport.fetch(get(registry, "/x"))
    assert caught.value.transient


def test_redirects_keep_the_range_and_the_login_at_home(transport, registry, new_registry):
    other = new_registry()
    registry.on("GET", "^/a", registry.reply(302, b"moved", {"Location": "/b"}))
    registry.on("GET", "^/b", registry.reply(307, b"", {"Location": f"{other.url}/c"}))
    other.on("GET", "^/c", other.reply(200, b"found"))
    request = get(registry, "/a", headers=(("Range", "bytes=3-"),), authorization="Bearer secret")
    answer = transport.fetch(request)
    assert (answer.body, answer.url) == (b"found", f"{other.url}/c")
    assert [seen.headers.get("authorization") for seen in registry.seen] == ["Bearer secret"] * 2
    assert "authorization" not in other.seen[0].headers
    assert other.seen[0].headers["range"] == "bytes=3-"


def test_redirects_end(transport, registry):
    registry.on("GET", "loop", *[registry.reply(302, b"", {"Location": "/loop"})] * 9)
    with pytest.raises(RegistryError) as caught:
        transport.fetch(get(registry, "/loop"))
    assert str(caught.value) == f"{registry.host} redirects in circles"


@pytest.mark.parametrize("location", ["ftp://x/", "http://[", "https://", "http://me:pw@x/"])
def test_redirects_to_nonsense(transport, registry, location):
    registry.on("GET", "x", registry.reply(302, b"", {"Location": location}))
    with pytest.raises(RegistryError) as caught:
        transport.fetch(get(registry, "/x"))
    assert str(caught.value).startswith(f"{registry.host} names ")
    assert str(caught.value).endswith(", which is no address of a server")


def test_redirects_of_what_is_sent_are_left_to_the_caller(transport, registry):
    registry.on("PUT", "x", registry.reply(307, b"", {"Location": "/y"}))
    answer = transport.fetch(Request("PUT", f"{registry.url}/x", body=Body.of(b"1")))
    assert answer.status == 307


def test_no_plain_http_to_others(transport, registry):
    registry.on("GET", "x", registry.reply(302, b"", {"Location": "http://lan.test:5000/"}))
    for request in (Request("GET", "http://lan.test:5000/v2/"), get(registry, "/x")):
        with pytest.raises(RegistryError) as caught:
            transport.fetch(request)
        assert str(caught.value) == "lan.test:5000 would be spoken to without encryption"
        assert caught.value.hint == (
            "if you accept that: --mirror lan.test:5000=http://lan.test:5000"
        )


def test_an_unknown_authority(transport, tls_registry):
    with pytest.raises(TlsError) as caught:
        transport.fetch(get(tls_registry))
    assert str(caught.value) == (
        f"the certificate of {tls_registry.host} is not trusted: self-signed certificate"
    )
    assert caught.value.hint == "if the registry is yours, name its CA: --cert-file CA.pem"
    assert not caught.value.transient


def test_a_named_authority(tls_registry, authority, registry):
    with Transport(Remote(certificates=(authority,))) as transport:
        assert transport.fetch(get(tls_registry)).status == 200
        tls_registry.on("GET", "x", registry.reply(302, b"", {"Location": f"{registry.url}/y"}))
        with pytest.raises(RegistryError) as caught:
            transport.fetch(get(tls_registry, "/x"))
    assert str(caught.value) == (
        f"{tls_registry.host} redirects to {registry.host} without encryption"
    )
    assert registry.seen == []


def test_a_certificate_for_another_name(tls_registry, authority):
    url = tls_registry.url.replace("127.0.0.1", "localhost")
    with Transport(Remote(certificates=(authority,))) as transport:
        with pytest.raises(TlsError) as caught:
            transport.fetch(Request("GET", url))
    assert "Hostname mismatch" in str(caught.value)
    assert caught.value.hint is None


def test_no_encryption_where_it_should_be(transport, registry):
    # an answer in clear text to what should have been a handshake
    with socket.create_server(("127.0.0.1", 0)) as listener:
        host = f"127.0.0.1:{listener.getsockname()[1]}"

        def plain():
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=plain)
        thread.start()
        with pytest.raises(TlsError) as caught:
            transport.fetch(Request("GET", f"https://{host}/v2/"))
        thread.join()
    assert str(caught.value).startswith(f"no encrypted connection to {host}: ")


@pytest.mark.parametrize(
    ("content", "message", "hint"),
    [
        (None, "there is no certificate file {}", None),
        ("nothing", "{} is no file of CA certificates",
         "it has to have the form PEM: -----BEGIN CERTIFICATE-----"),
    ],
)  # fmt: skip
def test_certificate_files_are_checked(tmp_path, content, message, hint):
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    with Transport(Remote(certificates=(path,))) as transport:
        with pytest.raises(UsageError) as caught:
            transport.fetch(Request("GET", "https://127.0.0.1:1/"))
    assert str(caught.value) == message.format(path)
    assert caught.value.hint == hint


def test_a_proxy_is_used_and_greeted(registry):
    registry.on("GET", "lan.test", registry.reply(200, b"by proxy"))
    proxy = Proxy(http=f"http://me:p%40ss@{registry.host}")
    remote = Remote(plain_http=frozenset({"lan.test:5000"}), proxy=proxy)
    with Transport(remote) as transport:
        assert transport.fetch(Request("GET", "http://lan.test:5000/v2/")).body == b"by proxy"
    [seen] = registry.seen
    assert seen.path == "http://lan.test:5000/v2/"
    pair = base64.b64encode(b"me:p@ss").decode()
    assert seen.headers["proxy-authorization"] == f"Basic {pair}"


def test_a_proxy_that_makes_no_sense():
    remote = Remote(plain_http=frozenset({"lan.test"}), proxy=Proxy(http="socks9://me:pw@p.test"))
    with Transport(remote) as transport:
        with pytest.raises(UsageError) as caught:
            transport.fetch(Request("GET", "http://lan.test/"))
    assert str(caught.value) == "the address of the proxy p.test makes no sense"


def test_stop_ends_what_is_under_way(registry):
    registry.on("GET", "x", registry.reply(200, b"12345", {"Content-Length": "10"}))
    with Transport(Remote()) as transport:
        with transport.stream(get(registry, "/x")) as stream:
            transport.stop()  # without it reading would wait for the other five bytes
            with pytest.raises(BrokenTransferError):
                list(stream.chunks())
        transport.wait(1000)
        with pytest.raises(RegistryError, match="the transfer was stopped"):
            transport.fetch(get(registry))


def test_no_connection_is_left_open(registry):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        with Transport(Remote()) as transport:
            transport.fetch(get(registry))
            with transport.stream(get(registry)):
                pass  # unread
    assert not caught


def test_addresses():
    assert split_url("https://x.test:5/a", "r").netloc == "x.test:5"
    assert joined("http://a/b/c?d", "../e") == "http://a/e"
    assert joined("http://a/", "http://[") == "http://["
