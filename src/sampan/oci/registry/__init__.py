"""The client side of the OCI distribution specification.

From the ground up: `fault` (errors), `patience` (trying again), `transport` (HTTP),
`credential` and `auth` (logins), `session` (one server), `repository` and `upload` (the API).
Knows servers and digests; what to copy, and where to, is decided in `sampan.oci.transfer`.
"""

from sampan.oci.registry.fault import (
    AccessError,
    BrokenTransferError,
    NotFoundError,
    OversizeError,
    RateLimitError,
    RegistryError,
    TlsError,
    UnreachableError,
)

__all__ = [
    "AccessError",
    "BrokenTransferError",
    "NotFoundError",
    "OversizeError",
    "RateLimitError",
    "RegistryError",
    "TlsError",
    "UnreachableError",
]
