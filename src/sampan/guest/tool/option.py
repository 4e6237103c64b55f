"""Command lines as Go's programs take them: `-label data`, `--label=data`, `-force`."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sampan.guest.agent.fault import AgentError


def parse(
    words: list[str], values: Mapping[str, str], flags: Collection[str] = ()
) -> tuple[dict[str, str], set[str], list[str]]:
    """Sort `words` into options with a value (`values` are their defaults), flags and the rest.

    Options end at the first other word, as in Go.

    Raises:
        AgentError: an option is unknown, or has no value.
    """
    found, given, rest = dict(values), set(), list(words)
    while rest and rest[0].startswith("-") and rest[0] != "-":
        name, equals, value = rest.pop(0).lstrip("-").partition("=")
        if name in flags:
            if value not in ("false", "0"):
                given.add(name)
        elif name not in found:
            raise AgentError(f"there is no option -{name}")
        elif equals:
            found[name] = value
        elif rest:
            found[name] = rest.pop(0)
        else:
            raise AgentError(f"the option -{name} needs a value")
    return found, given, rest
