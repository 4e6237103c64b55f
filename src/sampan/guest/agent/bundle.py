"""The containers of a system: the folders below `/containers/SECTION`."""

from __future__ import annotations

import os
import re

from sampan.guest.agent.document import Config, Runtime, parse_config, parse_runtime
from sampan.guest.agent.fault import DocumentError

CONTAINERS = "/containers"
_NUMBERED = re.compile(r"\d{3}-(.+)")


class Bundle:
    """A container on disk. `label` is its folder's name, `name` that without its number."""

    __slots__ = ("config", "label", "name", "path", "runtime")

    def __init__(self, path: str, config: Config, runtime: Runtime) -> None:
        self.path = path
        self.label = os.path.basename(path)
        numbered = _NUMBERED.fullmatch(self.label)
        self.name = numbered[1] if numbered else self.label
        self.config = config
        self.runtime = runtime

    @property
    def root(self) -> str:
        """The absolute path of the container's root directory."""
        return os.path.join(self.path, self.config.root)


def folders(section: str, containers: str = CONTAINERS) -> list[str]:
    """The paths of a section's folders (`onboot`, `services`, …), in order of their names."""
    base = f"{containers}/{section}"
    try:
        names = sorted(os.listdir(base))
    except FileNotFoundError:
        return []
    return [f"{base}/{name}" for name in names if os.path.isdir(f"{base}/{name}")]


def load(path: str) -> Bundle:
    """The bundle in folder `path`; without `runtime.json` there is nothing special to do.

    Raises:
        DocumentError: a document is missing or cannot be used.
    """
    config = parse_config(_read(f"{path}/config.json"), f"{path}/config.json")
    runtime = Runtime()
    if os.path.exists(f"{path}/runtime.json"):
        runtime = parse_runtime(_read(f"{path}/runtime.json"), f"{path}/runtime.json")
    return Bundle(path, config, runtime)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as stream:
            return stream.read()
    except OSError as error:
        raise DocumentError(f"{path}: {error.strerror}") from error
