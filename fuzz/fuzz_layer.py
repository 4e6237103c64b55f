"""Fuzz target: layers. Scanned, kept as an index, flattened; every name must stay in its tree."""

import io

from sampan.errors import SampanError
from sampan.oci import layer
from sampan.oci.limit import Limits
from sampan.oci.tree import flatten

_LIMITS = Limits(total_bytes=16 << 20, entries=5000, metadata_bytes=4 << 20)


def one(data: bytes) -> None:
    """Read `data` as two layers on end (cut in the middle) and as one.

    Anything but a SampanError is a finding.
    """
    indexes = []
    for part in (data, data[len(data) // 2 :]):
        try:
            indexes.append(layer.scan(io.BytesIO(part), limits=_LIMITS))
        except SampanError:
            continue
    for index in indexes:
        if layer.load(layer.dump(index)) != index:
            raise AssertionError("an index changed by being kept")
    try:
        tree = flatten(indexes, limits=_LIMITS)
    except SampanError:
        return
    for node in tree.nodes:
        parts = node.entry.name.split("/")
        if node.entry.name and not {"", ".", ".."}.isdisjoint(parts):
            raise AssertionError(f"{node.entry.name!r} leads out of its tree")
    if len({node.entry.name for node in tree.nodes}) != len(tree.nodes):
        raise AssertionError("two nodes have one name")
