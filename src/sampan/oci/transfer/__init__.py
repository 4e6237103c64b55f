"""Images between the cache and registries: whole, checked, and nothing twice."""

from sampan.oci.transfer.download import PlatformMissingError, pull
from sampan.oci.transfer.upload import push

__all__ = ["PlatformMissingError", "pull", "push"]
