"""One blob from a registry into the cache, resumed as often as it takes.

What was left by an interrupted download, of this process or another, is the beginning; the
digest is checked over all of it before the blob can be seen.
"""

from __future__ import annotations

from sampan.oci.digest import DigestMismatchError
from sampan.oci.layout import Partial
from sampan.oci.model import Descriptor
from sampan.oci.registry.fault import BrokenTransferError, OversizeError, RegistryError
from sampan.oci.registry.gauge import Gauge
from sampan.oci.registry.patience import Patience
from sampan.oci.registry.repository import Repository

_PROGRESS = 1 << 20  # bytes after which earlier failures are forgotten


def fetch(repository: Repository, descriptor: Descriptor, slot: Partial, gauge: Gauge) -> None:
    """Fill `slot` with the blob and make it visible.

    Raises:
        RegistryError: it does not arrive, though asked for several times; what has come stays.
        DigestMismatchError: the registry has another blob than `descriptor` says; nothing stays.
    """
    patience = Patience(repository.session.sleep)
    if slot.size > descriptor.size:
        slot.reset()
    pieced = False  # whether what is there came in several pieces
    while True:
        begin = slot.size
        pieced = pieced or begin > 0
        try:
            if begin < descriptor.size:
                _receive(repository, descriptor, slot, gauge)
            slot.commit()
        except RegistryError as error:
            if slot.size - begin >= _PROGRESS:
                patience.renew()
            patience.bear(error)
        except DigestMismatchError as error:
            if not pieced:
                raise DigestMismatchError(
                    _shown(repository, descriptor), error.expected, error.found
                ) from None
            pieced = False  # the pieces do not fit: take it in one
        else:
            gauge.reached(descriptor.size)
            return


def _receive(repository: Repository, descriptor: Descriptor, slot: Partial, gauge: Gauge) -> None:
    with repository.blob(descriptor.digest, slot.size) as stream:
        if stream.offset != slot.size:
            slot.reset()
        gauge.reached(slot.size)
        for chunk in stream.chunks():
            if slot.size + len(chunk) > descriptor.size:
                slot.reset()
                raise OversizeError(
                    f"{_shown(repository, descriptor)} has more than the {descriptor.size} bytes "
                    "that its manifest says",
                    hint="the image is damaged there: tell who made it",
                )
            slot.append(chunk)
            gauge.reached(slot.size)
    if slot.size < descriptor.size:
        raise BrokenTransferError(
            repository.registry,
            f"{slot.size} of {descriptor.size} bytes of blob {descriptor.digest.short} came",
        )


def _shown(repository: Repository, descriptor: Descriptor) -> str:
    return f"blob {descriptor.digest.short} of {repository.name} at {repository.registry}"
