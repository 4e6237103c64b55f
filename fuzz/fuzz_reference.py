"""Fuzz target: names of images. What parses must print to something that parses to the same."""

from sampan.errors import SampanError
from sampan.oci.reference import Reference


def one(data: bytes) -> None:
    """Parse `data`; anything but a SampanError is a finding."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        reference = Reference.parse(text)
    except SampanError:
        return
    for shown in (reference.canonical, reference.familiar):
        if Reference.parse(shown) != reference:
            raise AssertionError(f"{text!r} prints as {shown!r}, which is something else")
