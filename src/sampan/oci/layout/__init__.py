"""The cache: an OCI image layout on disk that several processes may use at the same time."""

from sampan.oci.layout.blob import BlobMissingError, DamagedBlobError
from sampan.oci.layout.cache import Cache, CacheBusyError, CacheEntry
from sampan.oci.layout.image import Image, ImageNotFoundError
from sampan.oci.layout.partial import Partial

__all__ = [
    "BlobMissingError",
    "Cache",
    "CacheBusyError",
    "CacheEntry",
    "DamagedBlobError",
    "Image",
    "ImageNotFoundError",
    "Partial",
]
