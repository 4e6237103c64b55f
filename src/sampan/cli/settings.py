"""What the global flags and the environment say, as one frozen value for every verb.

Each path has a flag, a variable and an XDG default; flag wins over variable over default.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from sampan.base.progress import Progress

_LAST_TIME_S = 0xFFFFFFFF  # what a cpio archive can hold: 2106


class Settings(NamedTuple):
    """The global flags, and `words`: the whole command line without the program. `debian_mirror` empty is the host's own. `verbosity`: 0 errors, 1 warnings, 2 what is done, 3 everything."""

    cache: Path
    certificates: tuple[Path, ...] = ()
    mirrors: tuple[str, ...] = ()
    logins: tuple[str, ...] = ()
    debian_mirror: str = ""
    quiet: bool = False
    verbosity: int = 1
    json: bool = False
    words: tuple[str, ...] = ()

    def globals(self) -> tuple[str, ...]:
        """The global flags about what is said, for another `sampan` that works for this one."""
        quiet = ("--quiet",) if self.quiet else ()
        json = ("--json",) if self.json else ()
        return (*quiet, *json, "--verbose", str(self.verbosity))

    def progress(self) -> Progress:
        """Where long work of this command reports: bars, lines or nothing."""
        from sampan.cli import render

        if self.json:
            from sampan.cli import jsonout

            return jsonout.Lines(sys.stderr)
        return render.progress(sys.stderr, quiet=self.quiet)


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The default cache: `$XDG_CACHE_HOME/sampan`, else `~/.cache/sampan`."""
    return _xdg(environment, "XDG_CACHE_HOME", ".cache")


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where what must last is kept: `$XDG_DATA_HOME/sampan`, else `~/.local/share/sampan`."""
    return _xdg(environment, "XDG_DATA_HOME", ".local/share")


def machines_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where machines with names are kept: in `machines` of `SAMPAN_STATE_DIR`, else of our state."""
    own = environment.get("SAMPAN_STATE_DIR")
    return (Path(own).absolute() if own else state_folder(environment)) / "machines"


def docker_config(environment: Mapping[str, str] = os.environ) -> Path:
    """Docker's `config.json`, which names credentials and their helpers; it need not exist."""
    folder = environment.get("DOCKER_CONFIG")
    return (Path(folder) if folder else _home(environment) / ".docker") / "config.json"


def source_date_epoch(environment: Mapping[str, str] = os.environ) -> int | None:
    """The time `SOURCE_DATE_EPOCH` gives to outputs, in seconds since 1970; None without it.

    Raises:
        UsageError: the variable is not a number, or more than a cpio archive can hold.
    """
    text = environment.get("SOURCE_DATE_EPOCH")
    if not text:
        return None
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_LAST_TIME_S))
    if not digits or int(text) > _LAST_TIME_S:
        from sampan.errors import UsageError

        raise UsageError(
            f"SOURCE_DATE_EPOCH={text!r} is not a time",
            hint=f"it counts seconds since 1970-01-01, at most {_LAST_TIME_S}",
        )
    return int(text)


def mirrors_of_environment(environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """The mirrors `LINUXKIT_MIRROR` lists, separated by blanks or commas."""
    return tuple(environment.get("LINUXKIT_MIRROR", "").replace(",", " ").split())


def _xdg(environment: Mapping[str, str], variable: str, default: str) -> Path:
    folder = Path(environment.get(variable, ""))
    # the XDG specification says that a relative path is to be ignored
    return (folder if folder.is_absolute() else _home(environment) / default) / "sampan"


def _home(environment: Mapping[str, str]) -> Path:
    home = environment.get("HOME")
    return Path(home) if home else Path.home()
