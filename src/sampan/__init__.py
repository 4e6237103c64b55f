"""Sampan builds, runs and embeds small immutable Linux systems made of containers.

Four kits that can be used alone or together, and one toolkit on top: see
`docs/design/` for the layers and who may import whom.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sampan")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
