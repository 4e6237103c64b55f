import base64
import json
import os

import pytest

from sampan.errors import SampanError
from sampan.oci.registry.credential import Credential, Keychain
from sampan.oci.remote import Login, Remote

HELPER = """#!/bin/sh
read -r server
echo "$1 $server" >> "$0.calls"
case "$server" in
  r.test) echo '{"ServerURL":"r.test","Username":"me","Secret":"s3"}' ;;
  https://index.docker.io/v1/) echo '{"Username":"<token>","Secret":"refresh"}' ;;
  nonsense.test) echo 'hello' ;;
  locked.test) echo 'the keychain is locked'; exit 1 ;;
  dumb.test) exit 3 ;;
  *) echo 'credentials not found in native keychain'; exit 1 ;;
esac
"""


@pytest.fixture
def keychain(tmp_path):
    def make(config, **options):
        path = tmp_path / "config.json"
        path.write_text(config if isinstance(config, str) else json.dumps(config))
        return Keychain(Remote(docker_config=path, **options))

    return make


@pytest.fixture
def helper(tmp_path, monkeypatch):
    program = tmp_path / "docker-credential-test"
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return program.with_name("docker-credential-test.calls")


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def test_the_file_has_credentials(keychain):
    found = keychain(
        {
            "auths": {
                "https://index.docker.io/v1/": {"auth": encoded("hub:p:w")},
                "r.test": {"auth": encoded("me:secret\0")},
                "https://old.test/v1/": {"username": "a", "password": "b"},
                "t.test": {"identitytoken": "refresh"},
                "empty.test": {},
            },
            "HttpHeaders": {"User-Agent": "x"},
        }
    )
    assert found.find("docker.io") == Credential("hub", "p:w")
    assert found.find("r.test") == Credential("me", "secret")
    assert found.find("old.test") == Credential("a", "b")
    assert found.find("t.test") == Credential(identity_token="refresh")
    assert found.find("empty.test") is None
    assert found.find("other.test") is None


def test_no_file_means_no_credentials(tmp_path):
    assert Keychain(Remote()).find("r.test") is None
    assert Keychain(Remote(docker_config=tmp_path / "none.json")).find("r.test") is None


def test_explicit_logins_come_first(keychain):
    found = keychain(
        {"auths": {"r.test": {"auth": encoded("file:x")}}}, logins=(Login("r.test", "flag", "y"),)
    )
    assert found.find("r.test") == Credential("flag", "y")


def test_helpers_are_asked_once(keychain, helper):
    found = keychain({"credsStore": "test"})
    assert found.find("r.test") == Credential("me", "s3")
    assert found.find("r.test") == Credential("me", "s3")
    assert found.find("docker.io") == Credential(identity_token="refresh")
    assert found.find("other.test") is None
    assert helper.read_text().splitlines() == [
        "get r.test", "get https://index.docker.io/v1/", "get other.test",
    ]  # fmt: skip
    assert found.problem == ""


def test_a_helper_may_be_for_one_registry(keychain, helper):
    found = keychain(
        {
            "credHelpers": {"r.test": "test"},
            "credsStore": "absent",
            "auths": {"s.test": {"auth": encoded("in:file")}},
        }
    )
    assert found.find("r.test") == Credential("me", "s3")
    assert found.problem == ""
    assert found.find("s.test") == Credential("in", "file")
    assert found.problem == (
        "credential helper 'absent' failed: docker-credential-absent is not installed"
    )


@pytest.mark.parametrize(
    ("registry", "store", "why"),
    [
        ("nonsense.test", "test", "it answered with something else than a credential"),
        ("locked.test", "test", "the keychain is locked"),
        ("dumb.test", "test", "ended with status 3"),
        ("r.test", "../evil", "that is not the name of a helper"),
    ],
)
def test_a_helper_that_fails_does_not_stop_what_is_free_for_all(
    keychain, helper, registry, store, why
):
    found = keychain({"credsStore": store})
    assert found.find(registry) is None
    assert found.problem == f"credential helper {store!r} failed: {why}"


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"auths": 1}', "\udc80".encode("utf-8", "replace").decode()]
)
def test_a_damaged_file_is_named(keychain, tmp_path, content):
    with pytest.raises(SampanError) as caught:
        keychain(content).find("r.test")
    path = tmp_path / "config.json"
    assert str(caught.value).startswith(f"{path} is not Docker's configuration: ")
    assert caught.value.hint == "mend it, or move it away and log in again"


@pytest.mark.parametrize("auth", ["???", encoded("nocolon"), base64.b64encode(b"\xff:").decode()])
def test_a_damaged_entry_is_named(keychain, tmp_path, auth):
    with pytest.raises(SampanError) as caught:
        keychain({"auths": {"r.test": {"auth": auth}}}).find("r.test")
    assert str(caught.value) == f"{tmp_path / 'config.json'}: the credentials of r.test are damaged"
    assert caught.value.hint == "docker login r.test"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SampanError) as caught:
        Keychain(Remote(docker_config=tmp_path)).find("r.test")
    assert str(caught.value) == f"cannot read {tmp_path}: Is a directory"


def test_secrets_are_not_shown():
    assert "secret" not in repr(Credential("me", "secret", "secret"))
    assert Credential("me", "p").basic == "Basic " + encoded("me:p")
