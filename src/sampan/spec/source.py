"""The text of a document, where it came from, and the faults found in it.

Reads the file and nothing else; knows neither YAML nor the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeAlias

from sampan.errors import Problem, SampanError, UsageError, Where

MAX_BYTES = 8 * 2**20
"""Longest document; texts of files belong into `source:`, not into `contents:`."""
MAX_PROBLEMS = 100
"""Faults kept of one document; more help nobody."""

_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")  # as YAML counts lines
_SHOWN_WIDTH = 160

Hint: TypeAlias = str | Callable[[], str | None] | None


class Source:
    """One document before it is read: a name for people, its text, the folder it lies in."""

    def __init__(self, name: str, content: str, folder: Path | None = None) -> None:
        self.name = name
        self.content = content
        self.folder = folder

    @classmethod
    def text(cls, text: str | bytes, name: str, *, folder: Path | None = None) -> Source:
        """A document that is not a file, as standard input or a downloaded one.

        Raises:
            SampanError: it is not UTF-8, or too long.
        """
        if len(text) > MAX_BYTES:
            raise UsageError(
                f"{name}: longer than {MAX_BYTES >> 20} MiB",
                hint="put large texts into files of their own and name them with source:",
            )
        try:
            # Encoding a str shows lone surrogates, which no file can hold.
            encoded = text.encode() if isinstance(text, str) else text
            return cls(name, encoded.decode("utf-8-sig"), folder)
        except UnicodeError as error:
            raise UsageError(f"{name}: not UTF-8 text", hint=str(error)[:200]) from error

    @classmethod
    def file(cls, path: Path) -> Source:
        """The document in the file `path`.

        Raises:
            SampanError: it cannot be read, is not UTF-8, or is too long.
        """
        try:
            with path.open("rb") as stream:
                data = stream.read(MAX_BYTES + 1)
        except FileNotFoundError as error:
            raise UsageError(f"{path}: no such file", hint="check the path") from error
        except IsADirectoryError as error:
            raise UsageError(
                f"{path}: is a folder, not a file", hint="name the YAML file in it"
            ) from error
        except OSError as error:
            raise SampanError(f"{path}: cannot be read: {error.strerror}") from error
        return cls.text(data, str(path), folder=path.parent)

    @cached_property
    def _lines(self) -> list[str]:
        return _LINE_BREAK.split(self.content)

    def where(self, line: int, column: int) -> Where:
        """The place of a character; `line` and `column` count from 0, as YAML's marks do."""
        text = self._lines[line] if line < len(self._lines) else ""
        shown = "".join(c if c.isprintable() or c == "\t" else "?" for c in text[:_SHOWN_WIDTH])
        return Where(self.name, line + 1, column + 1, shown if column <= _SHOWN_WIDTH else "")


class Faults:
    """Collects the faults of one document, up to `MAX_PROBLEMS`, each place and message once."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self._problems: dict[tuple[str, str, int, int], Problem] = {}

    def add(self, path: str, message: str, place: tuple[int, int], hint: Hint = None) -> None:
        """Note a fault at `place`, a line and column from 0.

        A `hint` that costs a search is given as a function: faults beyond the limit are free.
        """
        key = (path, message, *place)
        if not self.full and key not in self._problems:
            said = hint() if callable(hint) else hint
            self._problems[key] = Problem(path, message, self.source.where(*place), said)

    @property
    def full(self) -> bool:
        """Whether further faults are dropped."""
        return len(self._problems) >= MAX_PROBLEMS

    @property
    def problems(self) -> list[Problem]:
        """The faults in the order of the document."""
        return [self._problems[key] for key in sorted(self._problems, key=lambda k: k[2:])]

    def __len__(self) -> int:
        return len(self._problems)
