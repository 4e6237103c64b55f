"""Which of the packages' files go into the image: path patterns, and what nobody needs there.

Pure: names in, yes or no out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# what a system without people at it does not read; copyright files always stay
_DOCUMENTATION = (
    "usr/share/doc-base",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/bug",
    "usr/share/bash-completion",
    "usr/share/zsh",
    "usr/share/fish",
    "usr/share/help",
    "usr/share/gtk-doc",
    "usr/share/reportbug",
)
_DOC_FOLDER = "usr/share/doc/"
_ALL: tuple[str, ...] = ("**",)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """A path pattern as a regular expression for whole clean names.

    `*` and `?` and `[…]` stay within one component, `**` crosses them; a pattern that matches
    a folder matches all below it; a leading `/` means nothing.
    """
    parts = [part for part in pattern.split("/") if part not in ("", ".")]
    text = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            text += ".*" if last else "(?:[^/]+/)*"
        else:
            text += _component(part) + ("" if last else "/")
    return re.compile(f"{text}(?:/.*)?", re.DOTALL)


def _component(part: str) -> str:
    out = ""
    index = 0
    while index < len(part):
        letter = part[index]
        closing = part.find("]", index + 2)
        if letter == "*":
            out += "[^/]*"
        elif letter == "?":
            out += "[^/]"
        elif letter == "[" and closing > 0:
            inside = part[index + 1 : closing].replace("\\", "\\\\").replace("[", "\\[")
            out += f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
            index = closing
        else:
            out += re.escape(letter)
        index += 1
    return out


def chooser(
    *, keep: Sequence[str] = (), drop: Sequence[str] = (), documentation: bool = False
) -> Callable[[str], bool]:
    """A test of clean names: matched by `keep` (or that is empty), not by `drop`, no docs."""
    wanted = [compile_pattern(pattern) for pattern in keep or _ALL]
    unwanted = [compile_pattern(pattern) for pattern in drop]
    if not documentation:
        unwanted += [compile_pattern(pattern) for pattern in _DOCUMENTATION]

    def chosen(name: str) -> bool:
        if not documentation and name.startswith(_DOC_FOLDER) and not _is_copyright(name):
            return False
        return any(pattern.fullmatch(name) for pattern in wanted) and not any(
            pattern.fullmatch(name) for pattern in unwanted
        )

    return chosen


def _is_copyright(name: str) -> bool:
    return name.count("/") == 4 and name.endswith("/copyright")
