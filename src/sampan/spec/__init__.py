"""The YAML file: reading, checking, merging and writing it.

Knows text only: no image, no registry, no file of the host but the documents themselves.
"""

from sampan.spec.load import load
from sampan.spec.model import Spec
from sampan.spec.source import Source

__all__ = ["Source", "Spec", "load"]
