"""Putting specs together: several files into one, and an image's label below a container.

Pure. Merging follows linuxkit.md 2.4, label precedence 2.2; what section 9 lists as faults
(volumes of earlier files lost, `.add` giving duplicates or refusing `all`) is not repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType, structs

from sampan.spec.model import Container, ContainerDefaults, Kernel, Runtime, Spec, Trust

T = TypeVar("T")


def merge(specs: Sequence[Spec]) -> Spec:
    """One spec of many: lists append, values of the kernel are overridden when not empty."""
    merged = Spec()
    for spec in specs:
        merged = Spec(
            kernel=_kernel(merged.kernel, spec.kernel),
            init=merged.init + spec.init,
            onboot=merged.onboot + spec.onboot,
            onshutdown=merged.onshutdown + spec.onshutdown,
            services=merged.services + spec.services,
            files=merged.files + spec.files,
            volumes=merged.volumes + spec.volumes,
            trust=Trust(
                image=_joined(merged.trust.image, spec.trust.image),
                org=_joined(merged.trust.org, spec.trust.org),
            ),
            outputs=merged.outputs + spec.outputs,
        )
    return merged


def apply_label(container: Container, label: ContainerDefaults) -> Container:
    """`container` with what the label of its image says where the YAML says nothing.

    A list of the YAML replaces the label's; `.add` lists (of both) are appended, each value
    once, and are UNSET in the result; `runtime` goes by its own fields.
    """
    changes = {
        name: value
        for name in ContainerDefaults.__struct_fields__
        if getattr(container, name) is UNSET and (value := getattr(label, name)) is not UNSET
    }
    changes["runtime"] = _runtime(container.runtime, label.runtime)
    for name in ("capabilities", "binds"):
        adder = f"{name}_add"
        base = getattr(container if getattr(container, name) is not UNSET else label, name)
        added = _joined(getattr(label, adder), getattr(container, adder))
        changes[name] = _once(_joined(base, added))
        changes[adder] = UNSET
    return structs.replace(container, **changes)


def _kernel(earlier: Kernel, later: Kernel) -> Kernel:
    given = {
        name: value
        for name, value in structs.asdict(later).items()
        if value or (value is not UNSET and getattr(earlier, name) is UNSET)
    }
    return structs.replace(earlier, **given)


def _runtime(given: Runtime | UnsetType, label: Runtime | UnsetType) -> Runtime | UnsetType:
    if given is UNSET or label is UNSET:
        return label if given is UNSET else given
    stated = {name: value for name, value in structs.asdict(given).items() if value is not UNSET}
    return structs.replace(label, **stated)


def _joined(
    earlier: tuple[T, ...] | UnsetType, later: tuple[T, ...] | UnsetType
) -> tuple[T, ...] | UnsetType:
    if earlier is UNSET or later is UNSET:
        return later if earlier is UNSET else earlier
    return earlier + later


def _once(values: tuple[T, ...] | UnsetType) -> tuple[T, ...] | UnsetType:
    return values if values is UNSET else tuple(dict.fromkeys(values))
