"""Several specs into one, as when several files are named (linuxkit.md 2.4).

Pure. Volumes of earlier files stay known, which LinuxKit forgets (section 9, fault 3). How
an image's label lies below a container is the business of `sampan.image`, which has images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from msgspec import UNSET, UnsetType, structs

from sampan.spec.model import Kernel, Spec, Trust

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


def _kernel(earlier: Kernel, later: Kernel) -> Kernel:
    given = {
        name: value
        for name, value in structs.asdict(later).items()
        if value or (value is not UNSET and getattr(earlier, name) is UNSET)
    }
    return structs.replace(earlier, **given)


def _joined(
    earlier: tuple[T, ...] | UnsetType, later: tuple[T, ...] | UnsetType
) -> tuple[T, ...] | UnsetType:
    if earlier is UNSET or later is UNSET:
        return later if earlier is UNSET else earlier
    return earlier + later
