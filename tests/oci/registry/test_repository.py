import pytest

from sampan.oci import model
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.model import Descriptor
from sampan.oci.registry.credential import Keychain
from sampan.oci.registry.fault import NotFoundError, OversizeError, RegistryError
from sampan.oci.registry.repository import Repository, scope
from sampan.oci.registry.session import Session
from sampan.oci.registry.transport import Transport
from sampan.oci.remote import Endpoint, Remote

DOCUMENT = b'{"schemaVersion":2}'
BLOB = b"0123456789"


@pytest.fixture
def repository(registry):
    registry.add("a/b", "1", model.OCI_INDEX, DOCUMENT)
    registry.blobs["a/b"][Digest.of(BLOB)] = BLOB
    with Transport(Remote()) as transport:
        session = Session(
            Endpoint(registry.host, "http", "r.test"),
            transport,
            Keychain(Remote()),
            sleep=lambda _: None,
        )
        yield Repository(session, "a/b")


def read(repository, offset=0):
    with repository.blob(Digest.of(BLOB), offset) as stream:
        return stream.offset, b"".join(stream.chunks())


def test_manifests(repository, registry):
    digest = Digest.of(DOCUMENT)
    assert repository.find_manifest("1") == digest
    assert repository.find_manifest("2") is None
    assert repository.manifest("1") == DOCUMENT
    assert repository.manifest(digest, Descriptor(model.OCI_INDEX, digest, 19)) == DOCUMENT
    accepted = registry.seen[0].headers["accept"].split(", ")
    assert set(accepted) == model.INDEX_TYPES | model.MANIFEST_TYPES


def test_no_such_tag(repository):
    with pytest.raises(NotFoundError) as caught:
        repository.manifest("2")
    assert str(caught.value) == "r.test has no a/b:2: manifest unknown"
    assert caught.value.hint == "check the name and the tag"


def test_another_manifest_than_promised(repository, registry):
    other = Digest.of(b"other")
    for name, replies in ((other, []), ("1", [registry.reply(200, b"evil")])):
        registry.on("GET", "/manifests/", *replies or [registry.reply(200, DOCUMENT)])
        with pytest.raises(DigestMismatchError) as caught:
            repository.manifest(name, other)
        found = Digest.of(b"evil") if replies else Digest.of(DOCUMENT)
        joint = "@" if name is other else ":"
        assert str(caught.value) == (
            f"a/b{joint}{name} from r.test is damaged: expected {other}, got {found}"
        )


def test_the_registry_contradicts_itself(repository, registry):
    headers = {"Docker-Content-Digest": str(Digest.of(b"other"))}
    registry.on("GET", "/manifests/1", registry.reply(200, DOCUMENT, headers))
    with pytest.raises(DigestMismatchError):
        repository.manifest("1")


def test_a_digest_header_may_be_missing_but_not_nonsense(repository, registry):
    registry.on("HEAD", "/manifests/1", registry.reply(200))
    assert repository.find_manifest("1") is None
    registry.on("GET", "/manifests/1", registry.reply(200, DOCUMENT))
    assert repository.manifest("1") == DOCUMENT
    registry.on("HEAD", "/manifests/1", registry.reply(200, b"", {"Docker-Content-Digest": "x"}))
    with pytest.raises(RegistryError, match="'x' is not a digest"):
        repository.find_manifest("1")


def test_manifests_are_bounded(repository, registry):
    registry.on("GET", "/manifests/1", registry.reply(200, b" " * (model.DOCUMENT_LIMIT + 1)))
    with pytest.raises(OversizeError):
        repository.manifest("1")


def test_manifests_are_sent(repository, registry):
    repository.put_manifest("new", b"{}", model.OCI_MANIFEST)
    assert registry.manifests["a/b"]["new"] == (model.OCI_MANIFEST, b"{}")
    headers = {"Docker-Content-Digest": str(Digest.of(b"other"))}
    registry.on("PUT", "/manifests/new", registry.reply(201, b"", headers))
    with pytest.raises(DigestMismatchError) as caught:
        repository.put_manifest("new", b"{}", model.OCI_MANIFEST)
    assert str(caught.value).startswith("a/b:new as r.test has it is damaged: ")


def test_blobs(repository):
    assert repository.has_blob(Digest.of(BLOB))
    assert not repository.has_blob(Digest.of(b"other"))
    assert read(repository) == (0, BLOB)
    assert read(repository, 4) == (4, BLOB[4:])


def test_a_registry_without_ranges_gives_the_whole(repository, registry):
    registry.on("GET", "/blobs/", registry.reply(200, BLOB))
    assert read(repository, 4) == (0, BLOB)


def test_a_range_beyond_the_end_gives_the_whole(repository):
    assert read(repository, 99) == (0, BLOB)


@pytest.mark.parametrize(
    "said", ["bytes 3-9/10", "", "bytes 4", "bytes 99999999999999999999999-9/10"]
)
def test_another_range_than_asked_for(repository, registry, said):
    registry.on("GET", "/blobs/", registry.reply(206, BLOB, {"Content-Range": said}))
    with pytest.raises(RegistryError) as caught:
        read(repository, 4)
    assert str(caught.value) == "r.test sends another part of a blob than asked for"


def test_the_prefix_of_a_mirror_goes_before_the_name(registry):
    registry.add("hub/a/b", "1", model.OCI_INDEX, DOCUMENT)
    with Transport(Remote()) as transport:
        endpoint = Endpoint(registry.host, "http", "mirror.test", "hub")
        repository = Repository(Session(endpoint, transport, Keychain(Remote())), "a/b")
        assert repository.manifest("1") == DOCUMENT
        assert repository.scopes == ("repository:hub/a/b:pull",)


def test_scopes():
    assert scope("a/b") == "repository:a/b:pull"
    assert scope("a/b", pushing=True) == "repository:a/b:pull,push"
