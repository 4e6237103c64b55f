"""Users by name or number, out of /etc/passwd and /etc/group of where the program is to run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sampan.guest.remote.fault import CallError


class Account(NamedTuple):
    """Whose a process is."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str


ROOT = Account(0, 0, (), "/root")


def find(text: str, passwd: Iterable[str], group: Iterable[str]) -> Account:
    """The account that `text` (`name`, `uid`, `uid:gid`, `name:group`) means.

    Raises:
        CallError: there is no such user, or group.
    """
    name, _, wanted = text.partition(":")
    rows = [line.rstrip("\n").split(":") for line in passwd]
    groups = [line.rstrip("\n").split(":") for line in group]
    found = next((row for row in rows if len(row) >= 6 and name in (row[0], row[2])), None)
    if found is None and not name.isdecimal():
        raise CallError(f"there is no user {name!r}")
    uid, gid = (int(name), int(name)) if found is None else (int(found[2]), int(found[3]))
    if wanted:
        row = next((row for row in groups if len(row) >= 3 and wanted in (row[0], row[2])), None)
        if row is None and not wanted.isdecimal():
            raise CallError(f"there is no group {wanted!r}")
        gid = int(wanted if row is None else row[2])
    member = found[0] if found is not None else ""
    more = [int(row[2]) for row in groups if len(row) >= 4 and member in row[3].split(",")]
    return Account(uid, gid, tuple(more) if member else (), "/" if found is None else found[5])


def find_here(text: str) -> Account:
    """As `find`, in the files of this root.

    Raises:
        CallError: there is no such user, or group.
    """
    if not text:
        return ROOT
    return find(text, _lines("/etc/passwd"), _lines("/etc/group"))


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readlines()
    except FileNotFoundError:
        return []
