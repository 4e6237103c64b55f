"""Values that the YAML file writes as one line of text: a bind, an rlimit, a mode, a name.

Each has a `parse`, which raises ValueError with a message for people, and a `str()` that
`parse` reads back. Nothing here knows of documents, positions or the rest of the model.
"""

from __future__ import annotations

import re
from typing import ClassVar, Self

import msgspec

UNLIMITED = 2**64 - 1
RLIMITS = (
    "AS", "CORE", "CPU", "DATA", "FSIZE", "LOCKS", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE",
    "NPROC", "RSS", "RTPRIO", "RTTIME", "SIGPENDING", "STACK",
)  # fmt: skip

_CONTAINER_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,75}")
_VOLUME_NAME = re.compile(r"[a-z0-9_-]{1,128}")
_MODE = re.compile(r"[0-7]{1,5}")
_NUMBER = re.compile(r"[0-9]{1,20}")


class Bind(msgspec.Struct, frozen=True):
    """`source:destination[:options]`: a host path or a volume's name, shown in a container.

    No options means `rw,rbind,rshared` (linuxkit.md 2.3); given ones replace these.
    """

    source: str
    destination: str
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The bind that `text` means; raises ValueError if it has another form."""
        parts = text.split(":")
        if len(parts) not in (2, 3) or not all(parts):
            raise ValueError(f"{text!r} is not source:destination or source:destination:options")
        _absolute(parts[1], "the destination")
        return cls(parts[0], parts[1], _options(parts[2:]))

    @property
    def writable(self) -> bool:
        """Whether the container may write through it."""
        return "ro" not in self.options

    def __str__(self) -> str:
        return ":".join((self.source, self.destination, *_joined(self.options)))


class Tmpfs(msgspec.Struct, frozen=True):
    """`destination[:options]`: an empty file system in memory."""

    destination: str
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """The file system that `text` means; raises ValueError if it has another form."""
        destination, colon, options = text.partition(":")
        if ":" in options or (colon and not options):
            raise ValueError(f"{text!r} is not destination or destination:options")
        _absolute(destination, "the destination")
        return cls(destination, _options([options] if options else []))

    def __str__(self) -> str:
        return ":".join((self.destination, *_joined(self.options)))


class Rlimit(msgspec.Struct, frozen=True):
    """`name,soft,hard`; the name as the kernel has it (`RLIMIT_NOFILE`), limits as numbers."""

    name: str
    soft: int
    hard: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The limit that `text` means; raises ValueError if it has another form."""
        parts = [part.strip() for part in text.split(",")]
        if len(parts) != 3 or not all(parts):
            raise ValueError(f"{text!r} is not name,soft,hard (say nofile,1024,4096)")
        name = parts[0].upper().removeprefix("RLIMIT_")
        if name not in RLIMITS:
            raise ValueError(f"unknown resource limit {parts[0]!r}; known: {_listed(RLIMITS)}")
        soft, hard = _limit(parts[1]), _limit(parts[2])
        if soft > hard:
            raise ValueError(f"the soft limit {parts[1]} is above the hard limit {parts[2]}")
        return cls(f"RLIMIT_{name}", soft, hard)

    def __str__(self) -> str:
        limits = ("unlimited" if n == UNLIMITED else str(n) for n in (self.soft, self.hard))
        return ",".join((self.name.removeprefix("RLIMIT_").lower(), *limits))


class Mode(msgspec.Struct, frozen=True):
    """Permission bits written in octal, `0644`: the number, and the text as it stood."""

    bits: int
    text: str

    MAX: ClassVar[int] = 0o7777

    @classmethod
    def parse(cls, text: str) -> Self:
        """The mode that `text` means; raises ValueError if it is none."""
        if not _MODE.fullmatch(text) or int(text, 8) > cls.MAX:
            raise ValueError(f"{text!r} is not an octal mode (say '0644', at most '7777')")
        return cls(int(text, 8), text)

    def __str__(self) -> str:
        return self.text


def container_name(text: str) -> str:
    """`text`, when it can name a container: it becomes a folder and a runtime id."""
    if not _CONTAINER_NAME.fullmatch(text):
        raise ValueError(
            f"{text[:80]!r} cannot name a container: letters, digits and _ . + - are allowed,"
            " beginning with a letter, digit or _, at most 76"
        )
    return text


def volume_name(text: str) -> str:
    """`text`, when it can name a volume: `[a-z0-9_-]+` (linuxkit.md 2.1)."""
    if not _VOLUME_NAME.fullmatch(text):
        raise ValueError(f"{text[:80]!r} cannot name a volume: use a-z, 0-9, _ and -")
    return text


def image_name(text: str) -> str:
    """`text`, when it has the look of an image reference; `sampan.oci` knows the rest."""
    if not text or any(letter.isspace() or not letter.isprintable() for letter in text):
        raise ValueError(f"{text[:80]!r} is not the name of an image")
    return text


def tree_path(text: str) -> str:
    """`text`, when it is a path inside the image: no `..`, no NUL, not the root itself."""
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"{text[:80]!r} leaves the image: a path must not hold '..'")
    if not parts or "\0" in text:
        raise ValueError(f"{text[:80]!r} is not a path in the image")
    return text


def namespace(text: str) -> str:
    """`text`, when it says which namespace to use: a known word or the path of one."""
    if text in NAMESPACE_WORDS or (text.startswith("/") and "\0" not in text):
        return text
    raise ValueError(f"{text[:80]!r} is not {_listed(NAMESPACE_WORDS[1:])} or an absolute path")


NAMESPACE_WORDS = ("", "host", "root", "new", "none")


def _absolute(path: str, what: str) -> None:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{what} {path[:80]!r} must be an absolute path")


def _options(parts: list[str]) -> tuple[str, ...]:
    options = tuple(option for part in parts for option in part.split(","))
    if not all(options):
        raise ValueError("an option is empty: remove the extra comma")
    return options


def _joined(options: tuple[str, ...]) -> tuple[str, ...]:
    return (",".join(options),) if options else ()


def _limit(text: str) -> int:
    if text == "unlimited":
        return UNLIMITED
    if not _NUMBER.fullmatch(text) or int(text) > UNLIMITED:
        raise ValueError(f"{text[:80]!r} is not a limit: a number from 0 up, or unlimited")
    return int(text)


def _listed(words: tuple[str, ...]) -> str:
    return ", ".join(words).lower()
