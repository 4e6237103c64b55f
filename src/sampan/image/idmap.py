"""User and group ids given to containers by name (linuxkit.md 2.6).

Every container has an id, counted from 100 in the order onboot, onshutdown, services; files
and containers may name a container where they mean its id. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from sampan.errors import DocumentError, Problem
from sampan.spec.model import IdName, Spec
from sampan.spec.shape import Maybe

_FIRST = 100


def allot(spec: Spec) -> dict[str, int]:
    """The id of every container by its name; the last one of a name has it."""
    names = (container.name for _, _, container in spec.containers())
    return {name: _FIRST + number for number, name in enumerate(names)}


def resolve(value: Maybe[IdName], ids: Mapping[str, int], path: str) -> int:
    """The number that `value` of the document at `path` means; 0 when not given.

    Raises:
        DocumentError: no container has that name.
    """
    if isinstance(value, int):
        return value
    if not isinstance(value, str):
        return 0
    if value not in ids:
        known = ", ".join(sorted(ids)) or "there are none"
        raise DocumentError(
            [Problem(path, f"no container is named {value!r}", hint=f"containers: {known}")]
        )
    return ids[value]
