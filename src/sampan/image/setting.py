"""The settings a container ends up with: YAML over the image's label (linuxkit.md 2.2).

Pure. What neither says is filled in from the image's OCI config and the defaults, in
`sampan.image.runtime`.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec
from msgspec import UNSET

from sampan.spec.model import ContainerDefaults, Runtime
from sampan.spec.shape import Maybe

_T = TypeVar("_T")
_ADDED = {"capabilities_add": "capabilities", "binds_add": "binds"}


def settle(given: ContainerDefaults, label: ContainerDefaults) -> ContainerDefaults:
    """What holds for a container: each key of `given`, else that of `label`.

    Lists replace whole, `runtime` merges key by key, and what the `.add` lists hold is
    appended (each value once; LinuxKit repeats some).
    """
    values = {
        name: over(getattr(given, name), getattr(label, name))
        for name in ContainerDefaults.__struct_fields__
    }
    values["runtime"] = _runtime(given.runtime, label.runtime)
    for added, base in _ADDED.items():
        more = (*(getattr(label, added) or ()), *(getattr(given, added) or ()))
        if more:
            values[base] = tuple(dict.fromkeys((*(values[base] or ()), *more)))
        values[added] = UNSET
    return ContainerDefaults(**values)


def over(given: Maybe[_T], fallback: Maybe[_T]) -> Maybe[_T]:
    """`given`, unless it was not given."""
    return fallback if given is UNSET else given


def _runtime(given: Maybe[Runtime], label: Maybe[Runtime]) -> Maybe[Runtime]:
    if given is UNSET or label is UNSET:
        return over(given, label)
    assert isinstance(given, Runtime)
    assert isinstance(label, Runtime)
    return msgspec.structs.replace(
        label,
        **{
            name: value
            for name in Runtime.__struct_fields__
            if (value := getattr(given, name)) is not UNSET
        },
    )
