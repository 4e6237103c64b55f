"""An egress policy out of a file, read again when the file changes.

    file = PolicyFile(path)          DocumentError: what is wrong, with file, line and column
    egress.policy = file.policy
    end = follow(loop, file, apply)                looks at it every few seconds

A file that becomes unreadable or wrong changes nothing: the policy that was there stays, and the
log says why, once for each change. Whoever writes one should rename it into place.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from sampan.base import log
from sampan.base.loop import Loop
from sampan.errors import DocumentError, Problem, SampanError, UsageError
from sampan.net.services import document, policy
from sampan.net.services.policy import Policy

LOOK_EVERY_S = 2.0
_log = log.get(__name__)


def load(path: Path) -> Policy:
    """The policy in a file, YAML or JSON.

    Raises:
        UsageError: the file cannot be read.
        DocumentError: it has faults; all are named, each with its place.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(document.MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the policy {path} cannot be read: {error.strerror}") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the policy {path} is not UTF-8 text: byte {error.start}", hint="write it as UTF-8"
        ) from error
    return parse(text, str(path))


def parse(text: str, file: str) -> Policy:
    """The policy that a text describes; an empty text is an empty policy.

    Raises:
        DocumentError: it has faults; all are named, each with its place.
    """
    found = document.read(text, file)
    try:
        return policy.parse({} if found.value is None else found.value)
    except DocumentError as error:
        raise DocumentError([_placed(each, found) for each in error.problems]) from None


class PolicyFile:
    """A file with a policy, and the policy that was last read from it.

    Raises:
        UsageError: the file cannot be read.
        DocumentError: it has faults.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._state = _state(path)
        self.policy = load(path)

    def changed(self) -> Policy | None:
        """The policy, if the file says another one than last time; else None."""
        state = _state(self.path)
        if state == self._state:
            return None
        self._state = state
        try:
            found = load(self.path)
        except SampanError as error:
            _log.error("the policy stays as it was, because %s is wrong:\n%s", self.path, error)
            return None
        if found == self.policy:
            return None
        _log.info("the policy was read again from %s", self.path)
        self.policy = found
        return found


def follow(loop: Loop, file: PolicyFile, apply: Callable[[Policy], None]) -> Callable[[], None]:
    """Give `apply` each policy that the file says from now on; call what is returned to end it."""
    ended = False

    def look() -> None:
        if ended:
            return
        found = file.changed()
        if found is not None:
            apply(found)
        loop.call_at(loop.now() + LOOK_EVERY_S, look)

    def end() -> None:
        nonlocal ended
        ended = True

    loop.call_at(loop.now() + LOOK_EVERY_S, look)
    return end


def _state(path: Path) -> tuple[int, ...] | None:
    """What changes when a file does; None if it is not there."""
    try:
        found = os.stat(path)  # noqa: PTH116  what it is now, links followed
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _placed(problem: Problem, found: document.Document) -> Problem:
    path = problem.path.removeprefix("policy").removeprefix(".")
    return Problem(path, problem.message, found.where(path), problem.hint)
