from sampan.oci import model
from sampan.oci.digest import Digest
from sampan.oci.layout.reach import reach
from sampan.oci.model import Descriptor, Index


def test_an_image_reaches_its_blobs_and_an_index_what_is_there_of_it(
    cache, put_manifest, layer, item
):
    manifest = put_manifest(cache, [layer([item("a")]), layer([item("b")])])
    image = cache.blobs.read(manifest.digest)
    document = model.decode(image, model.Manifest, "manifest")
    expected = {manifest.digest, document.config.digest, *(one.digest for one in document.layers)}
    assert reach(cache.blobs, manifest) == expected
    absent = Descriptor(model.OCI_MANIFEST, Digest.of(b"absent"), 1)
    data = model.encode(Index(manifests=(manifest, absent)))
    index = Descriptor(model.OCI_INDEX, cache.put_blob(data), len(data))
    assert reach(cache.blobs, index) == {index.digest, *expected}


def test_a_blob_that_is_no_manifest_reaches_itself(cache):
    digest = cache.put_blob(b"text")
    assert reach(cache.blobs, Descriptor("text/plain", digest, 4)) == {digest}
