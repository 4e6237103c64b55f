"""Where networks have their control sockets, and which one a command is about.

They are in `net/` of the runtime folder, one `NAME.sock` each; the folder is its owner's alone. One
whose name is too long for sockets is passed over, as it is for those of machines.
"""

from __future__ import annotations

import functools
import os
import re
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sampan.base.unixsocket import MAX_PATH
from sampan.errors import SampanError, UsageError

if TYPE_CHECKING:
    from sampan.net.runtime.control.client import Client

DEFAULT_NAME = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_SUFFIX = ".sock"
_USUAL_FILE = f"{DEFAULT_NAME}{_SUFFIX}"


def folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of the sockets: made if missing, and ours alone.

    Raises:
        SampanError: it cannot be made, or it is another user's.
    """
    root = _root(environment)
    try:
        for each in (root, root / "net"):
            each.mkdir(mode=0o700, parents=each is root, exist_ok=True)
            found = each.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
                raise SampanError(
                    f"the runtime folder {each} is not ours",
                    hint="remove it, or name another one: --runtime-dir, or SAMPAN_RUNTIME_DIR",
                )
    except OSError as error:
        raise SampanError(
            f"cannot make the runtime folder {root}: {error.strerror}",
            hint="name another one: --runtime-dir, or SAMPAN_RUNTIME_DIR",
        ) from error
    return root / "net"


def socket(name: str) -> Path:
    """The control socket of the network called `name`.

    Raises:
        UsageError: that is no name.
    """
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            f"{name!r} is no name for a network",
            hint="up to 32 letters, digits, '.', '-' and '_', beginning with a letter or digit",
        )
    return folder() / f"{name}{_SUFFIX}"


def find(name: str | None, control: Path | None) -> Path:
    """The control socket that a command is about.

    Without a name it is the default network's or, if that does not run, the only one's.

    Raises:
        UsageError: there are several, and none was named.
    """
    if control is not None:
        return control
    wanted = socket(name or DEFAULT_NAME)
    if name is not None or wanted.exists():
        return wanted
    running = [each for each in sorted(folder().glob(f"*{_SUFFIX}")) if _answers(each)]
    if len(running) > 1:
        names = ", ".join(each.name.removesuffix(_SUFFIX) for each in running)
        raise UsageError("several networks run", hint=f"name one of them: --name {names}")
    return running[0] if running else wanted


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command `--name` and `--control`, and the `Client` they lead to as `network`."""

    @click.option(
        "--name", envvar="SAMPAN_NET", metavar="NAME",
        help="Which network.  [env: SAMPAN_NET; default: the only one]",
    )  # fmt: skip
    @click.option(
        "--control", type=click.Path(path_type=Path), metavar="PATH",
        help="Its control socket, if it is elsewhere.",
    )  # fmt: skip
    @functools.wraps(command)
    def located(*args: Any, name: str | None, control: Path | None, **more: Any) -> object:  # noqa: ANN401
        return command(*args, network=_client(find(name, control)), **more)

    return located


def _client(path: Path) -> Client:
    from sampan.net.runtime.control.client import Client

    return Client(path)


def _answers(path: Path) -> bool:
    from sampan.base.unixsocket import is_served

    return is_served(path)


def _root(environment: Mapping[str, str]) -> Path:
    base = Path(environment.get("XDG_RUNTIME_DIR", ""))
    root = base / "sampan" if base.is_absolute() and base.is_dir() else None
    if own := environment.get("SAMPAN_RUNTIME_DIR"):
        root = Path(own).absolute()
    if root is not None and len(os.fsencode(root / "net" / _USUAL_FILE)) <= MAX_PATH:
        return root
    return Path(f"/tmp/sampan-{os.getuid()}")  # short; whose it is gets checked
