import pytest

from sampan.base.progress import SILENT
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.model import OCI_LAYER, Descriptor
from sampan.oci.registry.credential import Keychain
from sampan.oci.registry.fault import BrokenTransferError, OversizeError
from sampan.oci.registry.gauge import Gauge
from sampan.oci.registry.repository import Repository
from sampan.oci.registry.session import Session
from sampan.oci.registry.transport import Transport
from sampan.oci.remote import Endpoint, Remote
from sampan.oci.transfer.fetch import fetch

BLOB = bytes(range(200))
DESCRIPTOR = Descriptor(OCI_LAYER, Digest.of(BLOB), len(BLOB))
SHORT = DESCRIPTOR.digest.short


class Total:
    amount = 0

    def advance(self, amount):
        self.amount += amount


@pytest.fixture
def waits():
    return []


@pytest.fixture
def run(registry, cache, waits):
    registry.blobs["a/b"][DESCRIPTOR.digest] = BLOB
    with Transport(Remote()) as transport:
        endpoint = Endpoint(registry.host, "http", "r.test")
        session = Session(endpoint, transport, Keychain(Remote()), sleep=waits.append)
        repository = Repository(session, "a/b")

        def go(descriptor=DESCRIPTOR, gauge=None):
            with cache.partial(descriptor.digest) as slot:
                fetch(repository, descriptor, slot, gauge or Gauge(SILENT.start("", None)))
            return cache.read_blob(descriptor.digest, 16 << 20)

        yield go


def leave(cache, data):
    with cache.partial(DESCRIPTOR.digest) as slot:
        slot.append(data)


def ranges(registry):
    return [seen.headers.get("range", "") for seen in registry.seen]


def left(cache):
    return [path.stat().st_size for path in (cache.root / "partial").iterdir()]


def test_a_blob_arrives(run, registry, cache):
    total = Total()
    assert run(gauge=Gauge(total)) == BLOB
    assert ranges(registry) == [""]
    assert left(cache) == []
    assert total.amount == 200


def test_an_earlier_download_is_taken_up(run, registry, cache):
    leave(cache, BLOB[:150])
    total = Total()
    assert run(gauge=Gauge(total)) == BLOB
    assert ranges(registry) == ["bytes=150-"]
    assert total.amount == 200


def test_a_download_that_was_only_not_checked(run, registry, cache):
    leave(cache, BLOB)
    assert run() == BLOB
    assert registry.seen == []


@pytest.mark.parametrize("rest", [b"wrong", bytes(200), bytes(300)])
def test_an_earlier_download_that_does_not_fit_is_dropped(run, registry, cache, rest):
    leave(cache, rest)
    assert run() == BLOB
    assert ranges(registry)[-1] == ""


def test_a_cut_layer_is_resumed(run, registry, waits):
    registry.on("GET", "/blobs/", registry.reply(200, BLOB, cut=90))
    total = Total()
    assert run(gauge=Gauge(total)) == BLOB
    assert ranges(registry) == ["", "bytes=90-"]
    assert total.amount == 200
    assert waits == [0.5]


def test_a_registry_without_ranges_begins_again(run, registry):
    registry.on("GET", "/blobs/", registry.reply(200, BLOB, cut=90), registry.reply(200, BLOB))
    total = Total()
    assert run(gauge=Gauge(total)) == BLOB
    assert total.amount == 200


def test_a_layer_that_is_always_cut(run, registry, cache, waits):
    said = {"Content-Length": "200"}
    registry.on("GET", "/blobs/", registry.reply(200, BLOB, said, cut=90))
    registry.on("GET", "/blobs/", *[registry.reply(hang_up=True)] * 9)
    with pytest.raises(BrokenTransferError) as caught:
        run()
    assert str(caught.value).startswith("the connection to 127.0.0.1:")
    assert caught.value.hint == "try again; what has arrived is kept"
    assert waits == [0.5, 1, 2, 4]
    assert left(cache) == [90]
    registry.script.clear()
    assert run() == BLOB
    assert ranges(registry)[-1] == "bytes=90-"


def test_a_layer_that_is_short_at_its_source(run, registry, cache):
    registry.blobs["a/b"][DESCRIPTOR.digest] = BLOB[:120]
    with pytest.raises(BrokenTransferError) as caught:
        run()
    assert str(caught.value) == (
        f"the connection to r.test broke: 120 of 200 bytes of blob {SHORT} came"
    )
    assert not cache.has_blob(DESCRIPTOR.digest)


def test_a_layer_that_is_too_long(run, registry, cache):
    registry.blobs["a/b"][DESCRIPTOR.digest] = BLOB + b"!"
    with pytest.raises(OversizeError) as caught:
        run()
    assert str(caught.value) == (
        f"blob {SHORT} of a/b at r.test has more than the 200 bytes that its manifest says"
    )
    assert left(cache) == [0]


def test_a_wrong_digest_keeps_nothing(run, registry, cache):
    evil = bytes(200)
    registry.blobs["a/b"][DESCRIPTOR.digest] = evil
    with pytest.raises(DigestMismatchError) as caught:
        run()
    assert str(caught.value) == (
        f"blob {SHORT} of a/b at r.test is damaged: "
        f"expected {DESCRIPTOR.digest}, got {Digest.of(evil)}"
    )
    assert caught.value.hint == (
        "fetch it again; if it stays so, the place it comes from has a bad copy"
    )
    assert not cache.has_blob(DESCRIPTOR.digest)
    assert left(cache) == [0]
    assert len(registry.seen) == 1


def test_pieces_that_do_not_fit_are_taken_in_one(run, registry):
    registry.on("GET", "/blobs/", registry.reply(200, bytes(200), cut=90))
    assert run() == BLOB
    assert ranges(registry) == ["", "bytes=90-", ""]


def test_progress_renews_patience(run, registry, cache, waits):
    large = bytes(12 << 20)
    descriptor = Descriptor(OCI_LAYER, Digest.of(large), len(large))
    registry.blobs["a/b"][descriptor.digest] = large
    for begin in range(0, 12 << 20, 2 << 20):
        headers = {"Content-Range": f"bytes {begin}-{len(large) - 1}/*"} if begin else {}
        status = 206 if begin else 200
        registry.on("GET", "/blobs/", registry.reply(status, large[begin:], headers, cut=2 << 20))
    assert run(descriptor) == large
    assert set(waits) == {0.5}


def test_an_empty_blob(run, registry):
    empty = Descriptor(OCI_LAYER, Digest.of(b""), 0)
    assert run(empty) == b""
    assert registry.seen == []
