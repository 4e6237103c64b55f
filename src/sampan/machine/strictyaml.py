"""YAML that leaves nothing to guess: no aliases, no key twice, no more depth than is needed.

Apart from `machine.document`, so that starting a machine does not have to load a YAML parser.
"""

from __future__ import annotations

from typing import Any, NoReturn

import yaml

from sampan.errors import DocumentError, Problem
from sampan.machine import fault

MAX_DEPTH = fault.MAX_DEPTH
_ENDS = frozenset("\x85\u2028\u2029")  # of lines, to YAML but not to PyYAML's plain style


def write(plain: object) -> str:
    """What is made of lists, dicts and scalars, as YAML; keys in their order."""
    return str(yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True))


class _Dumper(yaml.SafeDumper):
    """Safe, and writes what YAML takes for the end of a line so that it is read as it was."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    style = '"' if _ENDS.intersection(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _text)


def read(text: str, *, name: str) -> object:
    """What a YAML document says, in lists, dicts and scalars; `name` is what errors call it.

    Raises:
        DocumentError: it is none, or one with more than is taken; it says where.
    """
    try:
        return _constructed(text, name)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is None:
            raise fault.unplaced(name, f"not YAML: {error.problem}") from error
        where = fault.place(text, name, mark.line, mark.column)
        raise DocumentError([Problem("", f"not YAML: {error.problem}", where)]) from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no such date, too long a number
        raise fault.unplaced(name, f"not YAML: {' '.join(str(error).split())}") from error


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
    if fault.depth(text) > MAX_DEPTH:
        raise fault.unplaced(name, "nested too deeply")
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            _refuse("aliases are not taken", event.start_mark)
    return yaml.load(text, Loader=_Loader)


def _refuse(message: str, mark: Any) -> NoReturn:  # noqa: ANN401  a mark of either parser
    raise yaml.MarkedYAMLError(problem=message, problem_mark=mark)
