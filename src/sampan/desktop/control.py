"""The control socket of a machine's network, by which `sampan net` reaches it.

It is called as the machine is; when a machine of that name runs already, NAME-2 and so on. A
machine runs without it rather than not at all: what is in the way is logged.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sampan.base import log, unixsocket
from sampan.errors import SampanError

if TYPE_CHECKING:
    from sampan.net.runtime.usernet import UserNetwork

_log = log.get(__name__)
_MAX_NAME = 28  # of the 32 that `sampan net --name` takes: room for a number
_FOREIGN = re.compile(r"[^A-Za-z0-9_.-]+")


@contextmanager
def controlled(
    network: UserNetwork, folder: Path | None, name: str, stop: Callable[[], None]
) -> Iterator[str]:
    """Serve the control API of `network` in `folder`; its name there, empty if it is not served.

    `stop` is called in the network's thread when a client wants the network to end.
    """
    with ExitStack() as stack:
        yield _served(stack, network, folder, name, stop) if folder is not None else ""


def _served(
    stack: ExitStack, network: UserNetwork, folder: Path, name: str, stop: Callable[[], None]
) -> str:
    from sampan.net.runtime.control.assembled import serving

    for chosen in _names(name):
        path = folder / f"{chosen}.sock"
        try:
            stack.enter_context(serving(network, path, name=chosen, stop=stop))
        except SampanError as error:
            if path.is_socket() and unixsocket.is_served(path):
                continue
            hint = f" ({error.hint})" if error.hint else ""
            _log.warning("sampan net cannot reach this network: %s%s", error, hint)
            return ""
        return chosen
    raise AssertionError  # names do not end


def _names(name: str) -> Iterator[str]:
    base = _FOREIGN.sub("-", name).lstrip("-._")[:_MAX_NAME] or "machine"
    yield base
    for number in itertools.count(2):
        yield f"{base}-{number}"
