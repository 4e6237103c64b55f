"""YAML that leaves nothing to guess: no aliases, no key twice, no more depth than is needed.

Apart from `machine.document`, so that starting a machine does not have to load a YAML parser.
"""

from __future__ import annotations

from typing import Any, NoReturn

import yaml

from sampan.errors import UsageError

MAX_DEPTH = 16

_OPEN = (yaml.MappingStartEvent, yaml.SequenceStartEvent)
_CLOSE = (yaml.MappingEndEvent, yaml.SequenceEndEvent)


def write(plain: object) -> str:
    """What is made of lists, dicts and scalars, as YAML; keys in their order."""
    return str(yaml.safe_dump(plain, sort_keys=False, allow_unicode=True))


def read(data: bytes, *, name: str) -> object:
    """What a YAML document says, in lists, dicts and scalars; `name` is what errors call it.

    Raises:
        UsageError: it is none, or one with more than is taken; the message names the line.
    """
    try:
        return _constructed(data.decode("utf-8-sig"), name)
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: not UTF-8 text") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no such date, too long a number
        raise UsageError(f"{name}: not YAML: {_one_line(error)}") from error


class _Loader(yaml.CSafeLoader):
    """Safe, and refuses a key that is there twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Part of PyYAML's loaders."""
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                _refuse("a key has to be text", key.start_mark)
            if key.value in seen:
                _refuse(f"the key {key.value!r} is there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def _constructed(text: str, name: str) -> object:
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        depth += isinstance(event, _OPEN) - isinstance(event, _CLOSE)
        if depth > MAX_DEPTH:
            raise UsageError(f"{name}: nested too deeply")
        if isinstance(event, yaml.AliasEvent):
            _refuse("aliases are not taken", event.start_mark)
    return yaml.load(text, Loader=_Loader)


def _refuse(message: str, mark: Any) -> NoReturn:  # noqa: ANN401  a mark of either parser
    raise yaml.MarkedYAMLError(problem=message, problem_mark=mark)


def _one_line(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(str(error).split())
