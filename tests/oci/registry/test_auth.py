import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.oci.registry.auth import Authorizer, Challenge, parse_challenges
from sampan.oci.registry.credential import Keychain
from sampan.oci.registry.fault import AccessError, RegistryError
from sampan.oci.registry.transport import Answer
from sampan.oci.remote import Login, Remote

BEARER = 'Bearer realm="https://auth.test/token",service="registry.test"'
SCOPES = ("repository:a/b:pull",)


class Clock:
    now = 0.0

    def monotonic_s(self):
        return self.now

    def wall_s(self):
        return 0.0


class TokenServer:
    """Gives t1, t2, …, or what it is told."""

    def __init__(self):
        self.requests = []
        self.status = 200
        self.body = None

    def __call__(self, request, limit):
        self.requests.append(request)
        issued = json.dumps({"token": f"t{len(self.requests)}", "expires_in": 300}).encode()
        body = issued if self.body is None else self.body
        return Answer(self.status, {}, body, request.url)


@pytest.fixture
def server():
    return TokenServer()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def make(server, clock):
    def made(*logins):
        return Authorizer("r.test", Keychain(Remote(logins=logins)), server, clock)

    return made


def refusal(*challenges):
    return Answer(401, {}, b"", "https://r.test/v2/", tuple(challenges))


def challenged(auth, *challenges, scopes=SCOPES, sent="", encrypted=True):
    return auth.challenged(refusal(*challenges), scopes, sent, encrypted=encrypted)


@pytest.mark.parametrize(
    ("header", "challenges"),
    [
        (BEARER, [Challenge("bearer", "https://auth.test/token", "registry.test")]),
        ('bearer Realm = "x" , SCOPE=repo:pull', []),
        ('Bearer realm="a\\"b",scope="s t"', [Challenge("bearer", 'a"b', "", "s t")]),
        ("Basic", [Challenge("basic")]),
        ('Negotiate, Basic realm="r", Bearer realm="b"',
         [Challenge("negotiate"), Challenge("basic", "r"), Challenge("bearer", "b")]),
        ('Bearer realm="a",realm="b"', [Challenge("bearer", "a")]),
        ("", []),
        ('="', []),
    ],
)  # fmt: skip
def test_challenges_are_parsed(header, challenges):
    found = list(parse_challenges([header]))
    if challenges:
        assert found == challenges
    else:
        assert all(isinstance(each, Challenge) for each in found)


@given(st.lists(st.text(alphabet='ab Basicearl="\\,;\t\x00é', max_size=80), max_size=3))
@settings(max_examples=300)
def test_any_header_can_be_parsed(headers):
    parse_challenges(headers)


def test_a_hostile_header_takes_no_time():
    parse_challenges(['a="' + "\\" * 100_000, "a " * 100_000, 'a b="' * 20_000])


def test_nobody_is_greeted_unasked(make, server):
    assert make(Login("r.test", "me", "pw")).header(SCOPES) == ""
    assert server.requests == []


def test_basic(make):
    auth = make(Login("r.test", "me", "pw"))
    header = challenged(auth, 'Basic realm="x"')
    assert header == auth.header(("other",)) == "Basic bWU6cHc="
    assert challenged(auth, 'Basic realm="x"', sent=header) == ""  # nothing better
    assert auth.user == "me"


def test_basic_without_login(make):
    auth = make()
    assert challenged(auth, "Basic") == ""
    assert auth.user == ""


def test_an_anonymous_token(make, server):
    auth = make()
    assert challenged(auth, BEARER) == "Bearer t1"
    [request] = server.requests
    assert request.url == (
        "https://auth.test/token?service=registry.test&scope=repository%3Aa%2Fb%3Apull"
    )
    assert request.authorization == ""


def test_a_token_for_a_user(make, server):
    challenged(make(Login("r.test", "me", "pw")), BEARER)
    assert server.requests[0].authorization == "Basic bWU6cHc="


def test_a_token_for_an_identity(server, clock, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"auths": {"r.test": {"identitytoken": "refresh"}}}))
    auth = Authorizer("r.test", Keychain(Remote(docker_config=path)), server, clock)
    assert challenged(auth, BEARER, scopes=("s1", "s2")) == "Bearer t1"
    [request] = server.requests
    assert (request.method, request.url) == ("POST", "https://auth.test/token")
    assert b"".join(request.body.chunks()) == (
        b"grant_type=refresh_token&client_id=sampan&refresh_token=refresh"
        b"&service=registry.test&scope=s1+s2"
    )
    assert auth.user == "a token"


def test_tokens_are_kept_for_their_scopes_and_their_time(make, server, clock):
    auth = make()
    challenged(auth, BEARER)
    assert auth.header(SCOPES) == "Bearer t1"
    assert auth.header(("other",)) == "Bearer t2"
    clock.now = 289
    assert auth.header(SCOPES) == "Bearer t1"
    clock.now = 290
    assert auth.header(SCOPES) == "Bearer t3"


def test_a_token_that_is_refused_is_replaced_once_for_all_threads(make, server):
    auth = make()
    first = challenged(auth, BEARER)
    second = challenged(auth, BEARER, sent=first)
    assert (first, second) == ("Bearer t1", "Bearer t2")
    assert challenged(auth, BEARER, sent=first) == second  # another thread, still with the old one
    assert len(server.requests) == 2


def test_the_scope_of_the_challenge_is_added_if_it_is_another(make, server):
    challenged(make(), BEARER + ',scope="aws"')
    challenged(make(), BEARER + ',scope="repository:a/b:pull,push"')
    assert [request.url.count("scope=") for request in server.requests] == [2, 1]
    assert server.requests[0].url.endswith("&scope=aws")


def test_bearer_is_preferred_and_the_unknown_is_ignored(make):
    assert challenged(make(), "Negotiate", "Basic", BEARER) == "Bearer t1"
    assert challenged(make(), "Negotiate") == ""
    assert challenged(make(), "Bearer") == ""


@pytest.mark.parametrize("realm", ["http://auth.test/token", "ftp://x", "http://[", "nonsense"])
def test_credentials_do_not_go_just_anywhere(make, server, realm):
    auth = make(Login("r.test", "me", "pw"))
    with pytest.raises(RegistryError, match=r"r\.test names"):
        challenged(auth, f'Bearer realm="{realm}"')
    assert server.requests == []


def test_a_plain_registry_may_have_a_plain_token_server(make):
    assert challenged(make(), 'Bearer realm="http://127.0.0.1:5/t?a=b"', encrypted=False)


def test_a_wrong_password(make, server):
    server.status, server.body = 401, b'{"errors":[{"message":"incorrect username or password"}]}'
    with pytest.raises(AccessError) as caught:
        challenged(make(Login("r.test", "me", "pw")), BEARER)
    assert str(caught.value) == (
        "r.test does not let me have a/b (401): incorrect username or password"
    )


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        (500, b"", "auth.test answered 500 Internal Server Error about a token"),
        (404, b"", "r.test sends logins to https://auth.test/token, and nothing is there (404)"),
        (200, b"<html>", "the token server auth.test answered with nonsense"),
        (200, b'{"token":7}', "the token server auth.test answered with nonsense"),
        (200, b"{}", "the token server auth.test answered without a token"),
        (200, b'{"token":"a\\r\\nX: y"}', "the token server auth.test answered without a token"),
    ],
)
def test_a_token_server_with_a_fault(make, server, status, body, message):
    server.status, server.body = status, body
    with pytest.raises(RegistryError) as caught:
        challenged(make(), BEARER)
    assert str(caught.value) == message


def test_access_token_is_another_name_of_token(make, server):
    server.body = b'{"access_token":"abc"}'
    assert challenged(make(), BEARER) == "Bearer abc"
