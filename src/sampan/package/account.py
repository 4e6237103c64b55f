"""The lines of `/etc/passwd` and `/etc/group` (passwd(5), group(5)) that a recipe declares.

Pure: text in, text out. Debian's own scripts, which would add users, are never run.
"""

from __future__ import annotations

from collections.abc import Sequence

from sampan.package.recipe import Group, User

_ROOT_USER = "root:x:0:0:root:/root:/bin/sh"
_ROOT_GROUP = "root:x:0:"


def passwd(text: str, users: Sequence[User]) -> str:
    """`text` (a passwd file, may be empty) with `users` in it; a name's old line is replaced.

    `root` is added where it is missing.
    """
    lines = [
        f"{user.name}:x:{user.uid}:{user.group_id}:{user.gecos}:{user.home}:{user.shell}"
        for user in users
    ]
    return _merged(text, _ROOT_USER, lines)


def group(text: str, groups: Sequence[Group], users: Sequence[User]) -> str:
    """`text` (a group file, may be empty) with `groups`, and a group for each user without one.

    A user has a group already when its number is declared, or stands in `text`.
    """
    known = {line.split(":")[2] for line in text.splitlines() if line.count(":") >= 3}
    known |= {"0", *(str(item.gid) for item in groups)}
    lines = [f"{item.name}:x:{item.gid}:{','.join(item.members)}" for item in groups]
    for user in users:
        gid = str(user.group_id)
        if gid not in known:
            known.add(gid)
            lines.append(f"{user.name}:x:{gid}:")
    return _merged(text, _ROOT_GROUP, lines)


def _merged(text: str, root: str, lines: Sequence[str]) -> str:
    by_name = {line.partition(":")[0]: line for line in [root, *text.splitlines()] if line}
    for line in lines:
        by_name[line.partition(":")[0]] = line
    return "".join(f"{line}\n" for line in by_name.values())
