"""YAML text → nodes: libyaml's parser, our own tree.

Reads events rather than PyYAML's tree, because hostile documents must cost no more than
they weigh: nesting is kept on a list of our own (no recursion), and what aliases unfold to
is counted before anything walks it. Duplicate keys are found and `<<` is resolved here.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from sampan.spec.node import List, Map, Node, Scalar, place, shorten
from sampan.spec.source import Faults

MAX_NODES = 100_000
"""Most values a document may hold once its aliases are unfolded."""
MAX_DEPTH = 32
"""Deepest nesting once aliases are unfolded; the schema needs eight."""

_TAGS = frozenset(
    f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map", "int", "bool", "null", "float")
)
_STRING_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_LONGEST_PATH = 160
_SURROGATES = re.compile(
    r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})"
)


class _Stop(Exception):  # noqa: N818 - ends the reading; the fault is already noted
    """The document cannot be read on."""


class _Frame:
    """A list or mapping that is being read."""

    def __init__(self, event: Any, first: int, *, mapping: bool) -> None:  # noqa: ANN401
        self.line, self.column = event.start_mark.line, event.start_mark.column
        self.anchor: str | None = event.anchor
        self.first = first  # how many nodes there were before it
        self.mapping = mapping
        self.height = 1
        self.items: list[Node] = []  # of a mapping: key, value, key, value, …

    @property
    def step(self) -> str:
        """The last part of the path of the node that comes next."""
        if not self.mapping:
            return f"[{len(self.items)}]"
        key = self.items[-1] if len(self.items) % 2 else None
        return f".{key.text[:60]}" if isinstance(key, Scalar) else ""


def compose(faults: Faults) -> Node | None:
    """The root node of the document `faults` belongs to; None when there is none to speak of.

    Faults are noted in `faults`. Those of syntax, size and nesting end the reading.
    """
    try:
        return _Composer(faults).run()
    except _Stop:
        return None


class _Composer:
    def __init__(self, faults: Faults) -> None:
        self.faults = faults
        self.frames: list[_Frame] = []
        self.anchors: dict[str, tuple[Node, int, int]] = {}  # node, unfolded size, height
        self.count = 0
        self.root: Node | None = None

    def run(self) -> Node | None:
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        documents = 0
        try:
            for event in yaml.parse(_readable(self.faults.source.content), Loader=loader):
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    if documents > 1:
                        self._stop(event, "a second document begins", "one file, one document")
                else:
                    self._event(event, type(event).__name__)
        except yaml.YAMLError as error:
            self._syntax(error)
        if self.root is None:
            self.faults.add("", "the document is empty", (0, 0), "say what to build: kernel, init…")
        return self.root

    def _event(self, event: Any, name: str) -> None:  # noqa: ANN401
        match name:
            case "ScalarEvent":
                self._tagged(event)
                node = self._scalar(event)
                self._take(node, event.anchor, 0, 1)
            case "AliasEvent":
                self._alias(event)
            case "SequenceStartEvent" | "MappingStartEvent":
                self._tagged(event)
                self._grow(event, 1, 1)
                self.frames.append(
                    _Frame(event, self.count - 1, mapping=name == "MappingStartEvent")
                )
            case "SequenceEndEvent" | "MappingEndEvent":
                frame = self.frames.pop()
                closed = self._map(frame) if frame.mapping else self._list(frame)
                self._take(closed, frame.anchor, frame.height, self.count - frame.first)
            case _:
                pass  # the ends of the stream and the document say nothing

    def _scalar(self, event: Any) -> Scalar:  # noqa: ANN401
        self._grow(event, 1, 0)
        line, column = event.start_mark.line, event.start_mark.column
        plain = event.style in (None, "") and event.tag not in _STRING_TAGS
        frame = self.frames[-1] if self.frames else None
        if plain and not event.value and frame and frame.mapping and len(frame.items) % 2:
            line, column = place(frame.items[-1])  # nothing to point at but the key
        return Scalar(event.value, line, column, plain)

    def _alias(self, event: Any) -> None:  # noqa: ANN401
        known = self.anchors.get(event.anchor)
        if known is None:
            self._stop(event, f"the alias *{event.anchor[:60]} has no anchor before it")
        node, size, height = known
        self._grow(event, size, height)
        self._take(node, None, height, size)

    def _take(self, node: Node, anchor: str | None, height: int, size: int) -> None:
        """Give a finished node to what holds it."""
        if anchor:
            self.anchors[anchor] = (node, size, height)
        if not self.frames:
            self.root = node
            return
        frame = self.frames[-1]
        frame.items.append(node)
        frame.height = max(frame.height, height + 1)

    def _list(self, frame: _Frame) -> List:
        return List(tuple(frame.items), frame.line, frame.column)

    def _map(self, frame: _Frame) -> Map:
        pairs: dict[str, tuple[Scalar, Node]] = {}
        merged: list[Node] = []
        for key, value in zip(frame.items[::2], frame.items[1::2], strict=True):
            if not isinstance(key, Scalar):
                self._fault("a key must be a single word, not a list or mapping", key)
            elif key.plain and key.text == "<<":
                merged += value.items if isinstance(value, List) else (value,)
            elif key.text in pairs:
                first = pairs[key.text][0].line + 1
                message = f"the key {shorten(key.text)} is given twice"
                self._fault(message, key, f"the first is in line {first}; remove one of them")
            else:
                pairs[key.text] = (key, value)
        for node in merged:
            if not isinstance(node, Map):
                self._fault("<< takes a mapping, or a list of mappings", node)
                continue
            for key, value in node.pairs:
                pairs.setdefault(key.text, (key, value))
        return Map(tuple(pairs.values()), frame.line, frame.column)

    def _tagged(self, event: Any) -> None:  # noqa: ANN401
        if event.tag and event.tag not in _TAGS | _STRING_TAGS:
            self._stop(event, f"the tag {shorten(event.tag)} is not supported", "remove it")

    def _grow(self, event: Any, size: int, height: int) -> None:  # noqa: ANN401
        self.count += size
        if self.count > MAX_NODES:
            hint = "aliases count as often as they are used"
            self._stop(event, f"the document unfolds to more than {MAX_NODES} values", hint)
        if len(self.frames) + height > MAX_DEPTH:
            self._stop(event, f"nested deeper than {MAX_DEPTH} levels")

    def _path(self) -> str:
        path = "".join(frame.step for frame in self.frames).removeprefix(".")
        return path if len(path) <= _LONGEST_PATH else f"{path[:_LONGEST_PATH]}…"

    def _fault(self, message: str, node: Node, hint: str | None = None) -> None:
        self.faults.add(self._path(), message, place(node), hint)

    def _stop(self, event: Any, message: str, hint: str | None = None) -> NoReturn:  # noqa: ANN401
        mark = event.start_mark
        self.faults.add(self._path(), message, (mark.line, mark.column), hint)
        raise _Stop

    def _syntax(self, error: Exception) -> NoReturn:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", "cannot be read")
        if mark is None:  # the reader's errors know only how far they came
            before = self.faults.source.content[: getattr(error, "position", 0)]
            line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        else:
            line, column = mark.line, mark.column
        context = getattr(error, "context", None)
        message = f"not YAML: {problem}" + (f" {context}" if context else "")
        hint = None
        if "\t" in self.faults.source.where(line, 0).text[: column + 1]:
            hint = "indent with spaces: YAML takes no tabs"
        self.faults.add("", message, (line, column), hint)
        raise _Stop from error


def _readable(content: str) -> str:
    """`content`, with characters that JSON wrote as two escapes put in: YAML knows one."""
    if not content.lstrip().startswith("{") or not _SURROGATES.search(content):
        return content
    try:
        json.loads(content)
    except (ValueError, RecursionError):
        return content  # not JSON: the parser says what is wrong with it
    return _SURROGATES.sub(
        lambda pair: pair[1] + bytes.fromhex(pair[2] + pair[3]).decode("utf-16-be"), content
    )
