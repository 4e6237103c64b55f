"""Compiles the Python modules of a tree with the tree's own interpreter.

Debian ships no `.pyc` files: its maintainer scripts make them. With them programs start three
to five times as fast (guest.md 9). The interpreter runs through the tree's own dynamic loader, so
this works only where the host runs the image's architecture. The files are of the kind that is
never checked against its source (PEP 552), and the same tree gives the same bytes.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sampan.base import proc
from sampan.base.entry import Entry, Kind
from sampan.errors import SampanError
from sampan.package.stage import Stage

_INTERPRETER = re.compile(r"usr/bin/python3\.\d+")
_LOADER = re.compile(r"(?:usr/)?lib(?:64)?/ld(?:64|-linux)[^/]*\.so\.\d+")
_TIMEOUT_S = 600.0
# runs inside the tree's Python, of which there may be little (frozen modules are always there):
# source and place, line by line
_PROGRAM = """
import _frozen_importlib_external as external, _imp, marshal, os, sys
UNCHECKED_HASH = (1).to_bytes(4, "little")
for line in sys.stdin:
    source, place = line.rstrip("\\n").split("\\t")
    with open(source, "rb") as stream:
        data = stream.read()
    try:
        code = compile(data, place, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        continue  # a template or a test of the compiler: Debian's own compilation skips it too
    folder, name = os.path.split(source)
    folder = os.path.join(folder, "__pycache__")
    os.makedirs(folder, exist_ok=True)
    stem = name[:-3] + "." + sys.implementation.cache_tag
    with open(os.path.join(folder, stem + ".pyc"), "wb") as stream:
        stream.write(external.MAGIC_NUMBER + UNCHECKED_HASH)
        stream.write(_imp.source_hash(external._RAW_MAGIC_NUMBER, data) + marshal.dumps(code))
"""


class BytecodeError(SampanError):
    """The tree has no Python that could be run."""


def compile_modules(stage: Stage) -> int:
    """Add a `.pyc` for each `.py` of `stage`; the number of those added.

    The host must run the tree's architecture.

    Raises:
        BytecodeError: the tree has no Python, or none that runs.
    """
    interpreter = _only(stage, _INTERPRETER, "Python interpreter (python3.N-minimal)")
    loader = _only(stage, _LOADER, "dynamic loader (libc6)")
    with tempfile.TemporaryDirectory(prefix="sampan-python-") as name:
        room = Path(name)
        _unpack(stage, room)
        sources = [
            node.entry.name
            for node in stage
            if node.entry.name.endswith(".py")
            and node.entry.kind is Kind.FILE
            and not set(node.entry.name) & {"\t", "\n"}
        ]
        _run(room, loader, interpreter, sources)
        before = len(list(stage))
        for compiled in sorted(room.rglob("__pycache__/*.pyc")):
            place = str(compiled.relative_to(room))
            if place not in stage:
                stage.add(Entry(place, Kind.FILE, 0o644), _pieces(compiled))
        return len(list(stage)) - before


def _run(room: Path, loader: str, interpreter: str, sources: list[str]) -> None:
    libraries = [*sorted(room.glob("usr/lib/*-linux-*")), room / "usr/lib", room / "lib"]
    argv: list[str | Path] = [
        room / loader, "--library-path", ":".join(map(str, libraries)),
        room / interpreter, "-s", "-S", "-B", "-W", "ignore", "-c", _PROGRAM,
    ]  # fmt: skip
    feed = "".join(f"{room / name}\t/{name}\n" for name in sources)
    environment = {"PYTHONHOME": str(room / "usr"), "PYTHONPATH": "", "PYTHONHASHSEED": "0"}
    try:
        proc.run(argv, stdin=feed.encode(), env=environment, timeout_s=_TIMEOUT_S)
    except (proc.ChildError, OSError) as error:
        raise BytecodeError(f"the Python of the packages does not run here: {error}") from error


def _only(stage: Stage, pattern: re.Pattern[str], what: str) -> str:
    found = [node.entry.name for node in stage if pattern.fullmatch(node.entry.name)]
    if not found:
        raise BytecodeError(
            f"`python: true`, but the packages have no {what}",
            hint="add it to `packages`, or leave `python` out",
        )
    return found[0]


def _unpack(stage: Stage, room: Path) -> None:
    """Write the tree's files below `room`; links that lead out of it are left out."""
    for node in stage:
        path = room / node.entry.name
        match node.entry.kind:
            case Kind.DIRECTORY:
                path.mkdir()
            case Kind.FILE:
                with path.open("wb") as stream:
                    stream.writelines(stage.content(node))
                path.chmod(0o700 | node.entry.mode & 0o777)
            case Kind.SYMLINK if not node.entry.target.startswith("/"):
                path.symlink_to(node.entry.target)
            case _:
                pass


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while data := stream.read(1 << 18):
            yield data
