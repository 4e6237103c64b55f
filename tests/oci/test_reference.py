import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import ExitCode
from sampan.oci.digest import Digest
from sampan.oci.reference import InvalidReferenceError, Reference

DIGEST = str(Digest.of(b""))
COMPONENT = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
TAG = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:alpine", "docker.io/library/nginx:alpine"),
        ("linuxkit/kernel:6.6", "docker.io/linuxkit/kernel:6.6"),
        ("a/b/c", "docker.io/a/b/c"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("index.docker.io/nginx", "docker.io/library/nginx"),
        ("localhost/x", "localhost/x"),
        ("localhost:5000/x:1", "localhost:5000/x:1"),
        ("ghcr.io/a/b", "ghcr.io/a/b"),
        ("[::1]:5000/x", "[::1]:5000/x"),
        ("host:5000/x", "host:5000/x"),
        ("host:5000", "docker.io/library/host:5000"),
        (f"nginx@{DIGEST}", f"docker.io/library/nginx@{DIGEST}"),
        (f"nginx:1@{DIGEST}", f"docker.io/library/nginx:1@{DIGEST}"),
    ],
)
def test_short_names_are_completed(text, canonical):
    reference = Reference.parse(text)
    assert reference.canonical == canonical == str(reference)
    assert Reference.parse(canonical) == reference


def test_parts():
    reference = Reference.parse("nginx:alpine")
    assert (reference.registry, reference.repository, reference.tag, reference.digest) == (
        "docker.io", "library/nginx", "alpine", None,
    )  # fmt: skip
    assert reference.name == "docker.io/library/nginx"


@pytest.mark.parametrize(
    "text", ["nginx:alpine", "a/b", "ghcr.io/a/b:1", "library/a/b", f"x@{DIGEST}"]
)
def test_familiar_is_short_and_parses_back(text):
    reference = Reference.parse(text)
    assert reference.familiar == text
    assert Reference.parse(reference.familiar) == reference


def test_the_default_tag_is_added_only_to_a_bare_name():
    assert Reference.parse("x").with_default_tag().tag == "latest"
    assert Reference.parse("x:1").with_default_tag().tag == "1"
    assert Reference.parse(f"x@{DIGEST}").with_default_tag().tag is None


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("", "it is empty", ""),
        ("Nginx:alpine", "'Nginx' is not a repository", "did you mean 'nginx:alpine'"),
        ("nginx:", "'' is not a tag", "a tag has letters"),
        ("nginx:.x", "'.x' is not a tag", "a tag has letters"),
        ("a//b", "is not a repository", "single"),
        ("a/../b", "is not a repository", "single"),
        ("-a.io/x", "'-a.io' is not a registry's host name", ""),
        ("https://ghcr.io/x", "it is a URL", "leave out the https://"),
        ("x@sha256:1", "is not a digest", "64"),
        ("a" * 64, "it is an image ID", "NAME@sha256:"),
        ("x" * 300, "more than 255 characters", ""),
        ("x" * 2000, "more than 1024 characters", ""),
        ("nginx alpine", "is not a repository", ""),
        ("nginx\n", "is not a repository", ""),
    ],
)
def test_other_text_is_refused_with_a_hint(text, said, hint):
    with pytest.raises(InvalidReferenceError, match="is not an image name") as caught:
        Reference.parse(text)
    assert said in str(caught.value)
    assert hint in (caught.value.hint or "")
    assert caught.value.exit_code == ExitCode.USAGE
    assert len(str(caught.value)) < 400


@given(st.lists(COMPONENT, min_size=1, max_size=3), TAG, st.booleans())
def test_canonical_round_trips(components, tag, with_digest):
    text = "r.example:5000/" + "/".join(components)
    text += f":{tag}" if tag else ""
    text += f"@{DIGEST}" if with_digest else ""
    reference = Reference.parse(text)
    assert reference.canonical == text
    assert Reference.parse(reference.familiar) == reference


@pytest.mark.parametrize(
    "text",
    ["docker.io/my.org/x:1", "docker.io/localhost/x", "docker.io/library/" + "ab" * 32],
)
def test_familiar_keeps_the_registry_where_the_short_name_would_mean_something_else(text):
    assert Reference.parse(text).familiar == text
