"""Fuzz target: manifests, indexes and image configs. What is read must survive being written."""

from sampan.errors import SampanError
from sampan.oci.model import ImageConfig, decode, decode_manifest, encode


def one(data: bytes) -> None:
    """Read `data` as each kind of document; anything but a SampanError is a finding."""
    try:
        document = decode_manifest(data, "input")
    except SampanError:
        pass
    else:
        if decode_manifest(encode(document), "written") != document:
            raise AssertionError("a manifest changed by being written")
    try:
        config = decode(data, ImageConfig, "input")
    except SampanError:
        return
    if decode(encode(config), ImageConfig, "written") != config:
        raise AssertionError("a config changed by being written")
