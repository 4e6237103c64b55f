"""What children of the agent do, each in a process of its own that ends with it.

A function gets the parameters of its call, has the streams of the channel as descriptors 0, 1
and 2, and says what went wrong by raising; `run` makes a message and an exit status of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from sampan.base.agent import tree
from sampan.guest.remote import account, kernel, performance, place
from sampan.guest.remote.call import Params
from sampan.guest.remote.fault import CallError
from sampan.guest.remote.place import Place

NO_PROGRAM, NOT_EXECUTABLE, NO_PLACE = 127, 126, 125  # as shells and docker say it
_PIECE = 64 << 10


def run(work: Callable[[Params], None], params: Params, where: Place) -> int:
    """Go to `where`, do `work`, and give the exit status."""
    try:
        where.enter()
    except OSError as error:
        return _complain(f"cannot enter the system: {error.strerror}", NO_PLACE)
    try:
        work(params)
    except (FileNotFoundError, NotADirectoryError) as error:
        return _complain(_explain(error), NO_PROGRAM)
    except OSError as error:
        return _complain(_explain(error), NOT_EXECUTABLE)
    except (CallError, tree.TreeError) as error:
        return _complain(str(error), 1)
    return 0


def execute(params: Params) -> None:
    """Become the program that is asked for."""
    argv, env, cwd = params.words("argv"), params.table("env"), params.get("cwd", "")
    user, container = params.get("user", ""), params.get("container", "")
    if not argv:
        raise CallError("argv is empty")
    terminal = params.get("terminal", False)
    base = {"PATH": place.SEARCH_PATH, "TERM": env.get("TERM", "linux")}
    if container:
        place.service(container)
        argv = place.container_argv(
            container, argv, env=env, cwd=cwd, user=user, terminal=terminal
        )  # fmt: skip
        os.execve(argv[0], argv, base | {"HOME": "/root"})
    who = account.find_here(user)
    if user:
        os.setgroups(who.groups)
        os.setgid(who.gid)
        os.setuid(who.uid)
    # as at a login, a home that is not there or may not be entered does not matter
    os.chdir(cwd or (who.home if os.path.isdir(f"{who.home}/.") else "/"))
    base = base | {"HOME": who.home} | env
    program = argv[0] if "/" in argv[0] else place.find((argv[0],), base["PATH"])
    if program is None:
        raise FileNotFoundError(2, "no such program", argv[0])
    os.execve(program, argv, base)


def put(params: Params) -> None:
    """Unpack the tree that comes on descriptor 0."""
    _enter_container(params)
    limits = tree.Limits(
        params.get("size_bytes", 1 << 40), params.get("entries", 1_000_000), mode_mask=0o7777
    )
    with tree.Unpacker(params.text("target"), params.text("name"), limits) as unpacker:
        while data := os.read(0, _PIECE):
            unpacker.feed(data)
        if not unpacker.is_done:
            raise CallError("the copy broke off")


def get(params: Params) -> None:
    """Pack what is at a path to descriptor 1."""
    _enter_container(params)
    for piece in tree.pack(params.text("source")):
        _write(piece)


def mount(params: Params) -> None:
    """Mount something, on a folder that is made if it is missing."""
    target = params.text("target")
    os.makedirs(target, exist_ok=True)
    kernel.mount(
        params.text("source"), target, params.text("type"), params.get("options", ""),
        read_only=params.get("read_only", False),
    )  # fmt: skip


def replay(params: Params) -> None:
    """Do what the host did to files of a share, for those in the guest who watch them."""
    said: list[object] = params.get("changes", [])
    changes = [performance.change(each) for each in said]
    performance.perform(params.text("target"), params.text("token"), changes)


def _enter_container(params: Params) -> None:
    container = params.get("container", "")
    if container:
        place.service(container).enter()


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(1, left) :]


def _explain(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)


def _complain(text: str, status: int) -> int:
    os.write(2, f"{text}\n".encode(errors="surrogateescape"))
    return status
