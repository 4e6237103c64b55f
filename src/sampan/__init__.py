"""Sampan builds, runs and embeds small immutable Linux systems made of containers.

Four kits that can be used alone or together, and one toolkit on top: see
`docs/design/` for the layers and who may import whom.
"""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    # reading package metadata costs as much as the rest of `sampan --help`: only when asked
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sampan")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"
