"""How much an archive may contain before it is taken for a bomb.

Everything read from an image is bounded by these values; they are generous, because a layer
of a real image must never be refused.
"""

from __future__ import annotations

import msgspec

from sampan.base.units import format_size
from sampan.errors import SampanError


class LimitError(SampanError):
    """An archive has more than the limits allow. Says which archive and which limit."""

    def __init__(self, what: str, limit: str) -> None:
        super().__init__(
            f"{what}: {limit}",
            hint="this protects your computer, and no flag changes it; for an image to be trusted "
            "a Python program can (sampan.oci.limit.Limits)",
        )


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds for one archive. Sizes are in bytes."""

    total_bytes: int = 64 << 30  # the whole archive, uncompressed
    entries: int = 2_000_000
    name_bytes: int = 4096  # one name or link target: PATH_MAX of Linux
    header_bytes: int = 1 << 20  # the extended headers of one entry
    metadata_bytes: int = 512 << 20  # all names, targets and extended headers together

    def check_total(self, size: int, what: str) -> None:
        """Raises LimitError: `size` bytes are more than `total_bytes`."""
        if size > self.total_bytes:
            raise LimitError(
                what, f"more than {format_size(self.total_bytes)} uncompressed (total_bytes)"
            )

    def check_entries(self, count: int, what: str) -> None:
        """Raises LimitError: `count` is more than `entries`."""
        if count > self.entries:
            raise LimitError(what, f"more than {self.entries} entries (entries)")

    def check_name(self, size: int, what: str) -> None:
        """Raises LimitError: a name of `size` bytes is longer than `name_bytes`."""
        if size > self.name_bytes:
            raise LimitError(what, f"a name of {size} bytes is over {self.name_bytes} (name_bytes)")

    def check_header(self, size: int, what: str) -> None:
        """Raises LimitError: the extended headers of an entry are larger than `header_bytes`."""
        if size > self.header_bytes:
            raise LimitError(
                what,
                f"an extended header of {size} bytes is over {self.header_bytes} (header_bytes)",
            )

    def check_metadata(self, size: int, what: str) -> None:
        """Raises LimitError: `size` bytes of names and headers are more than `metadata_bytes`."""
        if size > self.metadata_bytes:
            raise LimitError(
                what,
                f"more than {format_size(self.metadata_bytes)} of names and headers (metadata_bytes)",
            )


DEFAULT_LIMITS = Limits()
