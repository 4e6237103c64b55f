"""Sampan builds, runs and embeds small immutable Linux systems made of containers.

Four kits that can be used alone or together, and one toolkit on top: see
`docs/design/` for the layers and who may import whom.
"""

__all__ = ["__version__"]
__version__ = "0.1.0"  # where the build takes it from, too
