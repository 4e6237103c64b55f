"""What can go wrong, in a form that people, scripts and `cli.main` can all use.

One root, `SampanError`; subclasses stand next to what raises them, except the few every
package needs, which are here. An error carries its exit code and, where there is one, a
hint that says what to do. Nothing in this package prints or exits: only `sampan.cli` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar


class ExitCode(IntEnum):
    """The exit statuses of every `sampan` command."""

    DONE = 0
    FAILED = 1
    USAGE = 2  # wrong usage, or a bad document
    TOOL_MISSING = 3  # a program of the host is missing
    BUG = 70  # our fault; the traceback is saved to a file
    INTERRUPTED = 130


class SampanError(Exception):
    """Something failed that the user can understand. `hint` says what to do about it.

    `path` is what of the description it is about (`services[0].image`), if that is known.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.FAILED
    path: str = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message


class UsageError(SampanError):
    """A flag, argument or value that makes no sense."""

    exit_code = ExitCode.USAGE


class ToolMissingError(SampanError):
    """A program of the host is not installed; `hint` names the package that has it."""

    exit_code = ExitCode.TOOL_MISSING


class UnsupportedError(SampanError):
    """A driver or format was asked for something it cannot do."""

    def __init__(self, feature: str, driver: str, why: str, *, instead: str | None = None) -> None:
        super().__init__(f"{driver} cannot do {feature}: {why}", hint=instead)
        self.feature = feature
        self.driver = driver
        self.why = why
        self.instead = instead


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a document. `line` and `column` count from 1; `text` is that line."""

    file: str
    line: int
    column: int
    text: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a document: where in its tree (`services[0].image`), what, and what to do."""

    path: str
    message: str
    where: Where | None = None
    hint: str | None = None

    def render(self) -> str:
        """The fault as lines of text: place and message, the line with a caret, the hint."""
        place = f"{self.where}: " if self.where else ""
        subject = f"{self.path}: " if self.path else ""
        lines = [f"{place}{subject}{self.message}"]
        if self.where and self.where.text:
            shown = self.where.text.replace("\t", " ").rstrip("\n")
            lines += [f"    {shown}", "    " + " " * (self.where.column - 1) + "^"]
        if self.hint:
            lines.append(f"    {self.hint}")
        return "\n".join(lines)


class DocumentError(SampanError):
    """A document has faults; all of them are reported together."""

    exit_code = ExitCode.USAGE

    def __init__(self, problems: list[Problem] | tuple[Problem, ...]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problem.render() for problem in self.problems))
