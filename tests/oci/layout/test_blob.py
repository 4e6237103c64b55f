import hashlib
import io

import pytest

from sampan.errors import SampanError
from sampan.oci.digest import Digest, DigestMismatchError
from sampan.oci.layout.blob import BlobMissingError, BlobStore, DamagedBlobError
from sampan.oci.model import OCI_LAYER, Descriptor


@pytest.fixture
def blobs(tmp_path):
    return BlobStore(tmp_path / "blobs")


def files(blobs):
    return list(blobs.path(Digest.of(b"")).parent.glob("*"))


class Task:
    done = 0

    def advance(self, amount):
        self.done += amount


@pytest.mark.parametrize("as_stream", [False, True])
def test_what_is_put_is_found_under_its_digest(blobs, as_stream):
    data = b"x" * 3_000_000
    task = Task()
    digest = blobs.put(io.BytesIO(data) if as_stream else data, None, task)
    assert digest == Digest.of(data)
    assert blobs.path(digest).read_bytes() == data
    with blobs.open(digest) as stream:
        assert stream.read() == data
    assert blobs.size(digest) == len(data) == task.done
    assert list(blobs) == [digest]


def test_sha512_has_its_own_folder(blobs):
    digest = Digest("sha512:" + hashlib.sha512(b"x").hexdigest())
    assert blobs.put(b"x", digest) == digest
    assert blobs.read(digest) == b"x"
    assert list(blobs) == [digest]


@pytest.mark.parametrize(
    "expected",
    [Digest.of(b"other"), Descriptor(OCI_LAYER, Digest.of(b"text"), 3),
     Descriptor(OCI_LAYER, Digest.of(b"text"), 5), Descriptor(OCI_LAYER, Digest.of(b"texx"), 4)],
)  # fmt: skip
@pytest.mark.parametrize("as_stream", [False, True])
def test_wrong_bytes_leave_nothing_behind(blobs, expected, as_stream):
    with pytest.raises(DigestMismatchError, match="is damaged: expected"):
        blobs.put(io.BytesIO(b"text") if as_stream else b"text", expected)
    assert files(blobs) == []


def test_a_source_that_fails_leaves_nothing_behind(blobs):
    class Broken(io.BytesIO):
        def read(self, size=-1):
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        blobs.put(Broken())
    assert files(blobs) == []


def test_a_missing_blob_is_named(blobs):
    digest = Digest.of(b"no")
    assert not blobs.has(digest)
    assert blobs.size(digest) == 0
    with pytest.raises(BlobMissingError, match=digest):
        blobs.open(digest)


def test_reading_is_bounded(blobs):
    digest = blobs.put(b"12345")
    assert blobs.read(digest, 5) == b"12345"
    with pytest.raises(SampanError, match="more than the 4 bytes"):
        blobs.read(digest, 4)


def rot(blobs, digest):
    path = blobs.path(digest)
    path.write_bytes(b"x" + path.read_bytes()[1:])


def test_a_blob_that_rotted_is_noticed_and_removed(blobs):
    digest = blobs.put(b"12345")
    assert blobs.is_sound(digest)
    again = BlobStore(blobs.path(digest).parent.parent)
    rot(blobs, digest)
    with pytest.raises(DamagedBlobError, match=f"blob {digest} of nginx was damaged") as caught:
        again.check(digest, "nginx")
    assert "sampan cache pull nginx" in (caught.value.hint or "")
    assert not again.has(digest)
    assert not again.is_sound(digest)
    with pytest.raises(BlobMissingError):
        again.check(digest)


def test_a_document_that_rotted_is_not_read(blobs):
    digest = blobs.put(b"12345")
    rot(blobs, digest)
    with pytest.raises(DamagedBlobError):
        blobs.read(digest)
    assert not blobs.has(digest)


def test_a_large_blob_is_checked_once(blobs):
    digest = blobs.put(b"12345")
    blobs.check(digest)
    rot(blobs, digest)
    blobs.check(digest)


def test_leftovers_and_strangers_are_no_blobs(blobs):
    digest = blobs.put(b"1")
    folder = blobs.path(digest).parent
    (folder / ".tmp-sampan-abc").write_bytes(b"123")
    (folder / "README").write_bytes(b"")
    assert list(blobs) == [digest]
    assert blobs.remove_leftovers() == 3
    assert blobs.remove(digest) == 1
    assert blobs.remove(digest) == 0
