import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import UsageError
from sampan.net.services.metadata import MAX_CONTENT, Identity, Tokens, find

WEB = Identity(
    instance_id="i-1",
    hostname="web",
    public_keys=("ssh-ed25519 AAAA me\n", "ssh-rsa BBBB you"),
    user_data=b"#cloud-config\n",
    extra=(("placement/availability-zone", "here"), ("instance-type", "tiny")),
)
BARE = Identity(instance_id="i-2")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/latest", b"meta-data\nuser-data"),
        ("/latest/", b"meta-data\nuser-data"),
        (
            "/latest/meta-data/",
            b"hostname\ninstance-id\ninstance-type\nlocal-hostname\nlocal-ipv4\nplacement/\npublic-keys/",
        ),
        ("/2009-04-04/meta-data/instance-id", b"i-1"),
        ("/latest//meta-data//hostname", b"web"),
        ("/1.0/meta-data/local-hostname", b"web"),
        ("/latest/meta-data/local-ipv4", b"192.168.65.3"),
        ("/latest/meta-data/placement", b"availability-zone"),
        ("/latest/meta-data/placement/availability-zone/", b"here"),
        ("/latest/meta-data/public-keys/", b"0=key-0\n1=key-1"),
        ("/latest/meta-data/public-keys/1", b"openssh-key"),
        ("/latest/meta-data/public-keys/0/openssh-key", b"ssh-ed25519 AAAA me"),
        ("/latest/user-data", b"#cloud-config\n"),
        ("/nocloud/user-data", b"#cloud-config\n"),
        ("/latest/vendor-data", None),
        ("/latest/user-data/x", None),
        ("/latest/meta-data/hostname/x", None),
        ("/latest/meta-data/../user-data", None),
        ("/never/meta-data", None),
        ("/nocloud", None),
        ("/nocloud/vendor-data", None),
        ("/nocloud/network-config", None),
        ("/nocloud/x", None),
    ],
)
def test_find(path, content):
    assert find(WEB, path, "192.168.65.3") == content


def test_versions():
    assert b"latest" in find(WEB, "/", "").split(b"\n")


def test_nocloud_is_yaml():
    assert yaml.safe_load(find(WEB, "/nocloud/meta-data", "") or b"") == {
        "instance-id": "i-1", "local-hostname": "web", "public-keys": list(WEB.public_keys),
    }  # fmt: skip
    assert json.loads(find(BARE, "/nocloud/meta-data", "") or b"") == {"instance-id": "i-2"}
    assert find(BARE, "/nocloud/user-data", "") == b""


def test_little_is_known():
    assert find(BARE, "/latest/", "") == b"meta-data"
    assert find(BARE, "/latest/meta-data/", "") == b"instance-id"
    assert find(BARE, "/latest/user-data", "") is None


@pytest.mark.parametrize(
    "extra",
    [
        (("", "x"),),
        (("a/", "x"), ("a/b", "y")),
        (("a//b", "x"),),
        (("placement/x", "x"), ("placement", "y")),
        (("instance-id/x", "x"),),
        (("big", "x" * (MAX_CONTENT + 1)),),
    ],
)
def test_paths_that_make_no_sense(extra):
    with pytest.raises(UsageError, match="there can be no metadata at"):
        Identity(instance_id="i", extra=extra)


def test_too_much():
    with pytest.raises(UsageError, match="at most"):
        Identity(instance_id="i", user_data=bytes(MAX_CONTENT + 1))


@given(st.text())
def test_any_path(path):
    assert find(WEB, path, "") is None or isinstance(find(WEB, path, ""), bytes)


def test_tokens():
    tokens = Tokens(b"secret")
    token = tokens.issue(b"one", 60, 1000.5)
    assert tokens.holds(token, b"one", 1000.5)
    assert tokens.holds(token, b"one", 1060)
    assert not tokens.holds(token, b"one", 1061)
    assert not tokens.holds(token, b"two", 1001)
    assert not Tokens(b"another").holds(token, b"one", 1001)
    until, _, proof = token.partition("-")
    assert not tokens.holds(f"{int(until, 16) + 60:x}-{proof}", b"one", 1001)


@given(st.text())
def test_any_token(text):
    assert not Tokens(b"secret").holds(text, b"one", 0)
