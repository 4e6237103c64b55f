import hashlib

import pytest

from sampan.oci.digest import Digest, InvalidDigestError

EMPTY = "sha256:" + hashlib.sha256(b"").hexdigest()


def test_a_digest_is_its_text():
    digest = Digest.parse(EMPTY)
    assert str(digest) == EMPTY == f"{digest}"
    assert digest == Digest.of(b"")
    assert digest.algorithm == "sha256"
    assert digest.hex == EMPTY[7:]
    assert digest.short == "e3b0c44298fc"


def test_sha512_is_known():
    text = "sha512:" + hashlib.sha512(b"x").hexdigest()
    hasher = Digest.parse(text).hasher()
    hasher.update(b"x")
    assert Digest.parse(text).matches(hasher)


def test_matches_only_the_bytes_it_names():
    hasher = Digest.of(b"a").hasher()
    hasher.update(b"b")
    assert not Digest.of(b"a").matches(hasher)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a digest"),
        ("sha256", "is not a digest"),
        ("sha256:abc", "is not a digest"),
        ("sha256:" + "A" * 64, "is not a digest"),
        ("sha256:" + "g" * 64, "is not a digest"),
        (EMPTY + "\n", "is not a digest"),
        ("md5:" + "0" * 32, "'md5' is not supported"),
        ("../../etc/passwd", "is not a digest"),
    ],
)
def test_other_text_is_refused(text, said):
    with pytest.raises(InvalidDigestError, match=said):
        Digest.parse(text)
