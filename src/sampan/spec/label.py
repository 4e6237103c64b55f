"""The label of an image that says how its containers run.

JSON of the same keys as a container of the YAML, without name and image (linuxkit.md 2.2).
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.errors import DocumentError
from sampan.spec.composer import compose
from sampan.spec.decoder import Decoder
from sampan.spec.dump import to_json_text
from sampan.spec.model import ContainerDefaults
from sampan.spec.shape import Record
from sampan.spec.source import Faults, Source

LABELS = ("org.mobyproject.config", "org.mobylinux.config")
"""Names of the label: today's, and that of the first images, which today's overrides."""

_DEFAULTS = Record(ContainerDefaults)


def find_label(labels: Mapping[str, str]) -> str | None:
    """The label among those of an image, None when it has none (or an empty one)."""
    return next((labels[name] for name in LABELS if labels.get(name)), None)


def parse_label(text: str | bytes, where: str) -> ContainerDefaults:
    """What a label says; `where` names the image in messages.

    Raises:
        SampanError: it is no such JSON; all faults are told together.
    """
    faults = Faults(Source.text(text, where))
    node = compose(faults)
    value = None if node is None else Decoder(faults, lenient=True).decode(node, _DEFAULTS)
    if faults.problems or not isinstance(value, ContainerDefaults):
        raise DocumentError(faults.problems)
    return value


def format_label(defaults: ContainerDefaults) -> str:
    """The text of a label that says `defaults`; `parse_label` reads it back."""
    return to_json_text(defaults, _DEFAULTS)
