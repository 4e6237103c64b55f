import pytest

from sampan.oci.registry.credential import Keychain
from sampan.oci.registry.fault import AccessError, RateLimitError, RegistryError
from sampan.oci.registry.session import Call, Session
from sampan.oci.registry.transport import Transport
from sampan.oci.remote import Endpoint, Login, Remote

SCOPES = ("repository:a/b:pull",)


@pytest.fixture
def waits():
    return []


@pytest.fixture
def open_session(waits):
    opened = []

    def make(registry, *, scheme="http", **remote):
        settings = Remote(**remote)
        opened.append(Transport(settings))
        endpoint = Endpoint(registry.host, scheme, registry.host)
        return Session(endpoint, opened[-1], Keychain(settings), sleep=waits.append)

    yield make
    for transport in opened:
        transport.close()


def call(path="/v2/", **options):
    return Call(what="a/b:1", path=path, scopes=SCOPES, **options)


def login(registry):
    return Login(registry.host, "me", "secret")


def test_failures_that_may_pass_are_borne(open_session, registry, waits):
    registry.on(
        "GET", "/v2/$", registry.reply(503), registry.reply(hang_up=True), registry.reply(502)
    )
    assert open_session(registry).ask(call()).status == 200
    assert waits == [0.5, 1, 2]


def test_a_rate_limit_is_waited_for_if_that_is_short(open_session, registry, waits):
    registry.on("GET", "/v2/$", registry.reply(429, b"", {"Retry-After": "7"}))
    assert open_session(registry).ask(call()).status == 200
    assert waits == [7]
    registry.on("GET", "/v2/$", registry.reply(429, b"", {"Retry-After": "3600"}))
    with pytest.raises(RateLimitError) as caught:
        open_session(registry).ask(call())
    assert str(caught.value) == (
        f"{registry.host} limits how much may be fetched, and the limit is reached (429)"
    )
    assert caught.value.hint == (
        f"come back in 3600 s, log in for a higher limit (docker login {registry.host}), "
        "or name a --mirror"
    )
    assert waits == [7]


def test_failures_that_stay_are_raised_at_once(open_session, registry, waits):
    registry.on("GET", "/v2/$", registry.reply(400, b"no"))
    with pytest.raises(RegistryError, match="answered 400 Bad Request about a/b:1"):
        open_session(registry).ask(call())
    assert waits == []


def test_basic_login(open_session, registry):
    registry.login = ("me", "secret")
    session = open_session(registry, logins=(login(registry),))
    assert session.ask(call()).status == 200
    assert session.ask(call()).status == 200
    assert len(registry.seen) == 3  # one refusal, then the login is known


def test_bearer_login(open_session, registry):
    registry.bearer, registry.login = True, ("me", "secret")
    assert open_session(registry, logins=(login(registry),)).ask(call()).status == 200
    assert list(registry.tokens.values()) == [[SCOPES[0]]]


def test_a_token_that_ended_too_early_is_renewed(open_session, registry):
    registry.bearer = True
    session = open_session(registry)
    session.ask(call())
    registry.tokens.clear()
    registry.tokens["other"] = []  # so that the next one has another name
    assert session.ask(call()).status == 200


def test_without_a_login(open_session, registry):
    registry.login = ("me", "secret")
    with pytest.raises(AccessError) as caught:
        open_session(registry).ask(call())
    host = registry.host
    assert str(caught.value) == f"{host} wants a login for a/b:1 (401): authentication required"
    assert caught.value.hint == (
        f"check the name, or log in: docker login {host}, or without Docker "
        f"skopeo login --authfile ~/.docker/config.json {host}"
    )


def test_with_a_wrong_login(open_session, registry):
    registry.login = ("me", "other")
    with pytest.raises(AccessError) as caught:
        open_session(registry, logins=(login(registry),)).ask(call())
    host = registry.host
    assert str(caught.value) == (
        f"{host} does not let me have a/b:1 (401): authentication required"
    )
    assert caught.value.hint == f"check the name, or log in as somebody else: docker login {host}"
    assert len(registry.seen) == 2


def test_forbidden(open_session, registry):
    registry.on("GET", "/v2/$", registry.error(403, "DENIED", "not yours"))
    with pytest.raises(AccessError) as caught:
        open_session(registry).ask(call())
    assert str(caught.value) == f"{registry.host} wants a login for a/b:1 (403): not yours"


def test_the_login_stays_at_home(open_session, registry, new_registry):
    other = new_registry()
    registry.login = ("me", "secret")
    session = open_session(registry, logins=(login(registry),))
    session.ask(call())
    session.ask(call(f"{other.url}/v2/"))
    assert "authorization" not in other.seen[0].headers


def test_loopback_is_asked_which_scheme_it_speaks(open_session, registry, tls_registry, authority):
    session = open_session(registry, scheme="")
    session.ask(call())
    session.ask(call())
    assert registry.paths("GET") == ["/v2/"] * 3
    session = open_session(tls_registry, scheme="", certificates=(authority,))
    assert session.ask(call()).url == f"{tls_registry.url}/v2/"


def test_a_server_of_go_says_that_it_wants_tls(open_session, registry):
    registry.on(
        "GET", "/v2/$", registry.reply(400, b"Client sent an HTTP request to an HTTPS server.")
    )
    session = open_session(registry, scheme="")
    assert session.url("/v2/x").startswith("https://")


def test_a_server_cannot_lead_us_out_of_encryption(open_session, tls_registry, authority, registry):
    session = open_session(tls_registry, scheme="https", certificates=(authority,))
    with pytest.raises(RegistryError) as caught:
        session.ask(call(f"{registry.url}/upload"))
    assert str(caught.value) == f"{tls_registry.host} wants a/b:1 sent without encryption"
    assert session.resolved(f"{tls_registry.url}/a/b", "../c?d=e") == f"{tls_registry.url}/c?d=e"
