"""What goes into a system, as lines for whoever watches a build."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sampan.oci.layout import Image
from sampan.spec.model import Spec

_SECTIONS = {"onboot": "onboot", "onshutdown": "onshutdown", "services": "service"}


def components(spec: Spec, images: Mapping[str, Image]) -> Iterator[str]:
    """A line for each part of the system, in the order of the document; `images` by their names there."""

    def image(name: str) -> str:
        return images[name].reference.familiar

    if spec.kernel.image:
        yield _line("kernel", image(spec.kernel.image))
    for name in spec.init:
        yield _line("init", image(name))
    for volume in spec.volumes:
        yield _line("volume", volume.name, image(volume.image) if volume.image else "")
    for section, _, container in spec.containers():
        yield _line(_SECTIONS[section], container.name, image(container.image))
    for file in spec.files:
        yield _line("file", f"/{file.name}")


def _line(kind: str, *words: str) -> str:
    return " ".join((kind.ljust(10), *filter(None, words)))
