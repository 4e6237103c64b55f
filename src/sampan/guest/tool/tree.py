"""Metadata's tree of files: `{"NAME": {"perm": "0644", "content": "…"} | {"entries": {…}}}`.

It comes from outside, so nothing in it leaves the folder it is written to: a name is one
component of a path, links are not followed, and what makes no sense is left out and said.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress

_FILE_MODE, _FOLDER_MODE = 0o644, 0o755
_MAX_DEPTH = 32
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC


def write(folder: str, tree: object) -> list[str]:
    """Write `tree`, as json gives it, below `folder`, which is there; what was left out, and why."""
    descriptor = os.open(folder, _FOLDER)
    try:
        return _write_entries(descriptor, tree, "", 0)
    finally:
        os.close(descriptor)


def content(tree: object, name: str) -> str:
    """The content of the file `name` at the top of `tree`; empty if there is none."""
    entry = tree.get(name) if isinstance(tree, dict) else None
    text = entry.get("content") if isinstance(entry, dict) else None
    return text if isinstance(text, str) else ""


def _write_entries(folder: int, entries: object, place: str, depth: int) -> list[str]:
    if not isinstance(entries, dict):
        return [f"{place or 'the data'} is no object"]
    if depth >= _MAX_DEPTH:
        return [f"{place} is too deep"]
    problems = []
    for name, entry in entries.items():
        shown = f"{place}/{name}"
        if not name or name in (".", "..") or "/" in name or "\0" in name:
            problems.append(f"{shown!r} is no name for a file")
            continue
        try:
            problems += _write_entry(folder, name, entry, shown, depth)
        except (OSError, ValueError) as error:
            problems.append(f"{shown}: {error}")
    return problems


def _write_entry(folder: int, name: str, entry: object, shown: str, depth: int) -> list[str]:
    if not isinstance(entry, dict) or ("content" in entry) == ("entries" in entry):
        raise ValueError("has to have either content or entries")
    if "content" in entry:
        text = entry["content"]
        if not isinstance(text, str):
            raise ValueError("its content is no text")
        _write_file(folder, name, text.encode(errors="surrogateescape"), _mode(entry, _FILE_MODE))
        return []
    mode = _mode(entry, _FOLDER_MODE)
    with suppress(FileExistsError):  # then it is merged with what is there
        os.mkdir(name, 0o700, dir_fd=folder)
    below = os.open(name, _FOLDER, dir_fd=folder)
    try:
        os.fchmod(below, mode)
        return _write_entries(below, entry["entries"], shown, depth + 1)
    finally:
        os.close(below)


def _write_file(folder: int, name: str, data: bytes, mode: int) -> None:
    descriptor = os.open(name, _FILE | os.O_NONBLOCK, 0o600, dir_fd=folder)
    with open(descriptor, "wb") as stream:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("there is something that is no file")
        os.fchmod(descriptor, mode)
        stream.write(data)


def _mode(entry: dict[str, object], default: int) -> int:
    text = entry.get("perm", "")
    if not isinstance(text, str):
        raise ValueError("its perm is no text")
    if not text:
        return default
    mode = int(text, 8)
    if not 0 <= mode <= 0o7777:
        raise ValueError(f"{text} are no permissions")
    return mode
