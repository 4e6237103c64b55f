"""YAML (and so JSON) text as plain values, with the place of each, bounded in every way.

Plain scalars that look like whole numbers are ints, `true` and `false` bools, `null` and nothing
None; all others are text as written: no surprises by `no`, `08` or `12:30`. Tags, keys given
twice and merges (`<<`) are faults. Aliases count for what they stand for, so that a small file
cannot stand for a large one.

It knows nothing of what a document means. (`spec.composer` does the same for systems, with more
of YAML; kits may not use it.)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

from sampan.errors import DocumentError, Problem, Where

MAX_BYTES = 1 << 20
MAX_VALUES = 50_000
MAX_DEPTH = 16
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}
_STRING_TAGS = ("!", "tag:yaml.org,2002:str")

Value: TypeAlias = str | int | bool | list[Any] | dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class Document:
    """A value, and where its parts are: lines and columns (from 0) by path (`rules[3].port`)."""

    file: str
    value: Value
    lines: tuple[str, ...]
    marks: Mapping[str, tuple[int, int]]

    def where(self, path: str) -> Where | None:
        """The place of a part, or of the innermost around it that is there."""
        while path and path not in self.marks:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        mark = self.marks.get(path)
        return None if mark is None else _where(self.file, self.lines, *mark)


def read(text: str, file: str) -> Document:
    """What `text` says; `file` is for messages.

    Raises:
        DocumentError: it is no YAML, or more than a document may be.
    """
    lines = tuple(text.splitlines())
    if len(text) > MAX_BYTES:
        problem = Problem("", f"more than {MAX_BYTES} characters", Where(file, 1, 1))
        raise DocumentError([problem])
    return _Reader(file, lines).run(text)


class _Frame:
    """A list or mapping that is being read."""

    __slots__ = ("anchor", "first", "height", "key", "path", "value")

    def __init__(
        self, value: list[Any] | dict[str, Any], path: str, anchor: str | None, first: int
    ) -> None:
        self.value, self.path, self.anchor, self.first = value, path, anchor, first
        self.key: str | None = None
        self.height = 1


class _Reader:
    def __init__(self, file: str, lines: tuple[str, ...]) -> None:
        self._file, self._lines = file, lines
        self._marks: dict[str, tuple[int, int]] = {}
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Value, int, int]] = {}  # value, size, height
        self._count = 0
        self._root: Value = None

    def run(self, text: str) -> Document:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        if text.lstrip().startswith("{"):
            text = text.replace("\t", " ")  # JSON may be indented by tabs, and has none in text
        documents = 0
        try:
            for event in yaml.parse(text, Loader=loader):
                documents += isinstance(event, yaml.DocumentStartEvent)
                if documents > 1:
                    self._fault(event, "a second document begins")
                self._event(event, type(event).__name__)
        except yaml.YAMLError as error:
            self._syntax(error)
        return Document(self._file, self._root, self._lines, self._marks)

    def _event(self, event: Any, name: str) -> None:  # noqa: ANN401  PyYAML's have no types
        match name:
            case "ScalarEvent":
                self._scalar(event)
            case "AliasEvent":
                known = self._anchors.get(event.anchor)
                if known is None:
                    self._fault(event, f"the alias *{event.anchor[:60]} has no anchor before it")
                value, size, height = known
                self._grow(event, size, height)
                self._take(event, value, None, size, height)
            case "SequenceStartEvent" | "MappingStartEvent":
                self._untagged(event, ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"))
                self._grow(event, 1, 1)
                empty: list[Any] | dict[str, Any] = [] if name == "SequenceStartEvent" else {}
                path = self._path(event)
                self._frames.append(_Frame(empty, path, event.anchor, self._count - 1))
            case "SequenceEndEvent" | "MappingEndEvent":
                frame = self._frames.pop()
                size = self._count - frame.first
                self._take(event, frame.value, frame.anchor, size, frame.height)
            case _:
                pass  # the ends of the stream and the document say nothing

    def _scalar(self, event: Any) -> None:  # noqa: ANN401
        self._untagged(event, _STRING_TAGS)
        self._grow(event, 1, 0)
        frame = self._frames[-1] if self._frames else None
        if frame is not None and isinstance(frame.value, dict) and frame.key is None:
            self._key(event, frame)
            return
        plain = event.style in (None, "") and event.tag not in _STRING_TAGS
        value: Value = event.value
        if plain and event.value in _WORDS:
            value = _WORDS[event.value]
        elif plain and _INTEGER.fullmatch(event.value):
            value = int(event.value)
        self._path(event)
        self._take(event, value, event.anchor, 1, 0)

    def _key(self, event: Any, frame: _Frame) -> None:  # noqa: ANN401
        if event.value in frame.value:
            self._fault(event, f"the key {event.value[:60]!r} is given twice")
        if event.value == "<<" and event.style in (None, ""):
            self._fault(event, "merging by << is not supported")
        frame.key = event.value
        self._marks[self._step(frame)] = (event.start_mark.line, event.start_mark.column)

    def _take(self, event: Any, value: Value, anchor: str | None, size: int, height: int) -> None:  # noqa: ANN401
        """Give a finished value to what holds it."""
        if anchor:
            self._anchors[anchor] = (value, size, height)
        if not self._frames:
            self._root = value
            return
        frame = self._frames[-1]
        frame.height = max(frame.height, height + 1)
        if isinstance(frame.value, list):
            frame.value.append(value)
        elif frame.key is None:
            self._fault(event, "a key must be a single word, not a list or mapping")
        else:
            frame.value[frame.key] = value
            frame.key = None

    def _step(self, frame: _Frame) -> str:
        """The path of what comes next in a frame."""
        if isinstance(frame.value, list):
            return f"{frame.path}[{len(frame.value)}]"
        return f"{frame.path}.{frame.key}" if frame.path else str(frame.key)

    def _path(self, event: Any) -> str:  # noqa: ANN401
        """The path of a value that begins here. Of what has a key, the key is shown."""
        if not self._frames:
            path = ""
        else:
            frame = self._frames[-1]
            path = self._step(frame)
            if isinstance(frame.value, dict):
                return path
        self._marks[path] = (event.start_mark.line, event.start_mark.column)
        return path

    def _untagged(self, event: Any, allowed: tuple[str, ...]) -> None:  # noqa: ANN401
        if event.tag and event.tag not in allowed:
            self._fault(event, f"the tag {event.tag[:60]!r} is not supported", "remove it")

    def _grow(self, event: Any, size: int, height: int) -> None:  # noqa: ANN401
        self._count += size
        if self._count > MAX_VALUES:
            hint = "aliases count as often as they are used"
            self._fault(event, f"the document stands for more than {MAX_VALUES} values", hint)
        if len(self._frames) + height > MAX_DEPTH:
            self._fault(event, f"nested deeper than {MAX_DEPTH} levels")

    def _fault(self, event: Any, message: str, hint: str | None = None) -> NoReturn:  # noqa: ANN401
        mark = event.start_mark
        where = _where(self._file, self._lines, mark.line, mark.column)
        raise DocumentError([Problem("", message, where, hint)])

    def _syntax(self, error: Exception) -> NoReturn:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", "cannot be read")
        line, column = (mark.line, mark.column) if mark is not None else (0, 0)
        where = _where(self._file, self._lines, line, column)
        hint = (
            "indent with spaces: YAML takes no tabs" if "\t" in where.text[: column + 1] else None
        )
        raise DocumentError([Problem("", f"not YAML: {problem}", where, hint)]) from error


def _where(file: str, lines: tuple[str, ...], line: int, column: int) -> Where:
    return Where(file, line + 1, column + 1, lines[line][:200] if line < len(lines) else "")
