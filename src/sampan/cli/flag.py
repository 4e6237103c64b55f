"""Groups of flags, which a command takes as one value: `sampan run` has too many to name each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

Option: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]
"""What `click.option` returns: it gives a command a flag."""


def given(*options: Option) -> Option:
    """Give a command flags, in this order."""

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorated


def gathered(name: str, kind: type[NamedTuple], *options: Option) -> Option:
    """Give a command flags, and what they say as its argument `name`: a `kind`.

    Each field of `kind` is a flag's, and has its name. Flags that are no field's reach the command
    as they are.
    """

    def decorated(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def wrapped(*args: Any, **values: Any) -> object:  # noqa: ANN401
            own = kind._make(values.pop(field) for field in kind._fields)
            return command(*args, **{name: own}, **values)

        return given(*options)(wrapped)

    return decorated
