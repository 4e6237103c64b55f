import io

import pytest

from sampan.oci.digest import Digest
from sampan.oci.model import OCI_LAYER, Descriptor
from sampan.oci.registry.credential import Keychain
from sampan.oci.registry.fault import AccessError, RegistryError
from sampan.oci.registry.repository import Repository
from sampan.oci.registry.session import Session
from sampan.oci.registry.transport import Transport
from sampan.oci.registry.upload import Upload
from sampan.oci.remote import Endpoint, Remote

BLOB = bytes(range(100))
DIGEST = Digest.of(BLOB)
UPLOADS = "/blobs/uploads/"


class Total:
    amount = 0

    def advance(self, amount):
        self.amount += amount


@pytest.fixture
def total():
    return Total()


@pytest.fixture
def upload(registry, total):
    with Transport(Remote()) as transport:
        session = Session(
            Endpoint(registry.host, "http", "r.test"),
            transport,
            Keychain(Remote()),
            sleep=lambda _: None,
        )

        def make(chunk=1000, data=BLOB):
            return Upload(
                Repository(session, "a/b", pushing=True),
                Descriptor(OCI_LAYER, DIGEST, len(data)),
                lambda: io.BytesIO(data),
                total,
                chunk=chunk,
            )

        yield make


def ranges(registry):
    return [seen.headers["content-range"] for seen in registry.seen if seen.method == "PATCH"]


def test_a_small_blob_goes_in_one_piece(upload, registry, total):
    assert upload().send() is True
    assert registry.blobs["a/b"][DIGEST] == BLOB
    assert [seen.method for seen in registry.seen] == ["POST", "PUT"]
    assert total.amount == 100


def test_a_large_blob_goes_in_chunks(upload, registry, total):
    assert upload(chunk=40).send() is True
    assert registry.blobs["a/b"][DIGEST] == BLOB
    assert ranges(registry) == ["0-39", "40-79", "80-99"]
    assert total.amount == 100


def test_the_registry_may_want_larger_chunks(upload, registry):
    place = {"Location": f"/v2/a/b{UPLOADS}u", "OCI-Chunk-Min-Length": "60"}
    registry.uploads["u"] = bytearray()
    registry.on("POST", UPLOADS, registry.reply(202, b"", place))
    upload(chunk=40).send()
    assert ranges(registry) == ["0-59", "60-99"]


@pytest.mark.parametrize("reply", [{"status": 503}, {"hang_up": True}])
def test_a_lost_chunk_is_sent_again(upload, registry, total, reply):
    registry.on("PATCH", "upload-1", registry.reply(202, b"", {"Range": "0-0"}))
    registry.on("PATCH", "upload-1", registry.reply(**reply))
    upload(chunk=40).send()
    assert registry.blobs["a/b"][DIGEST] == BLOB
    assert ranges(registry) == ["0-39", "0-39", "0-39", "40-79", "80-99"]
    assert total.amount == 100


def test_it_goes_on_where_the_registry_is(upload, registry):
    registry.uploads["u"] = bytearray(BLOB[:25])
    place = {"Location": f"/v2/a/b{UPLOADS}u"}
    registry.on("POST", UPLOADS, registry.reply(202, b"", place))
    registry.on("PATCH", UPLOADS, registry.reply(hang_up=True))
    upload(chunk=40).send()
    assert registry.blobs["a/b"][DIGEST] == BLOB
    assert ranges(registry) == ["0-39", "25-64", "65-99"]


def test_a_forgotten_upload_is_begun_again(upload, registry):
    registry.on("PATCH", "upload-1", registry.reply(503))
    registry.on("GET", "upload-1", registry.error(404, "BLOB_UPLOAD_UNKNOWN"))
    upload(chunk=40).send()
    assert registry.blobs["a/b"][DIGEST] == BLOB
    assert len(registry.paths("POST")) == 2


def test_a_registry_without_chunks_gets_one_piece(upload, registry):
    registry.on("PATCH", UPLOADS, registry.reply(405))
    upload(chunk=40).send()
    assert registry.blobs["a/b"][DIGEST] == BLOB
    assert [seen.method for seen in registry.seen] == ["POST", "PATCH", "POST", "PUT"]


def test_a_registry_that_never_gets_on(upload, registry):
    registry.on("PATCH", UPLOADS, *[registry.reply(202, b"", {"Range": "0-0"})] * 25)
    with pytest.raises(RegistryError) as caught:
        upload(chunk=40).send()
    assert str(caught.value) == "the connection to r.test broke: a chunk got lost"


def test_a_registry_that_counts_wrong(upload, registry):
    registry.on("PATCH", UPLOADS, registry.reply(202, b"", {"Range": "0-9999"}))
    with pytest.raises(RegistryError) as caught:
        upload(chunk=40).send()
    assert str(caught.value) == "r.test counts more bytes than were sent"


def test_a_broken_connection_costs_one_attempt(upload, registry, total):
    registry.on("PUT", UPLOADS, registry.reply(hang_up=True))
    upload().send()
    assert registry.blobs["a/b"][DIGEST] == BLOB
    assert total.amount == 100


def test_a_neighbour_has_it(upload, registry, total):
    registry.blobs["other/c"][DIGEST] = BLOB
    assert upload().send("other/c") is False
    assert registry.blobs["a/b"][DIGEST] == BLOB
    assert registry.paths("PUT") == []
    assert total.amount == 100


def test_the_token_for_a_neighbour_lets_read_it(upload, registry):
    registry.bearer = True
    registry.blobs["other/c"][DIGEST] = BLOB
    upload().send("other/c")
    assert list(registry.tokens.values()) == [
        ["repository:a/b:pull,push", "repository:other/c:pull"]
    ]


def test_a_neighbour_does_not_have_it_or_is_not_ours(upload, registry):
    assert upload().send("other/c") is True
    registry.blobs.clear()
    registry.on("POST", "from=", registry.error(403, "DENIED"))
    assert upload().send("other/c") is True
    assert registry.blobs["a/b"][DIGEST] == BLOB


def test_no_right_to_push(upload, registry):
    registry.on("POST", UPLOADS, registry.error(403, "DENIED", "read only"))
    with pytest.raises(AccessError) as caught:
        upload().send()
    assert str(caught.value) == f"r.test wants a login for a/b@{DIGEST} (403): read only"
    registry.on("PATCH", UPLOADS, registry.error(403, "DENIED", "read only"))
    with pytest.raises(AccessError):
        upload(chunk=40).send()


def test_a_registry_that_says_no_place(upload, registry):
    registry.on("POST", UPLOADS, registry.reply(202))
    with pytest.raises(RegistryError) as caught:
        upload().send()
    assert str(caught.value) == "r.test does not say where to send a blob"


def test_the_registry_checks_too(upload, registry):
    with pytest.raises(RegistryError) as caught:
        upload(data=bytes(100)).send()
    assert str(caught.value) == (
        f"r.test answered 400 Bad Request about a/b@{DIGEST}: "
        "provided digest did not match uploaded content"
    )
