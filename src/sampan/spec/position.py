"""From a path in the merged description (`services[2].image`) back to its line in a document.

Faults that show only when a system is built (no such image, no such file) are told with the
line, too. The documents are read again for that, so that nobody carries positions around while
all goes well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sampan.errors import DocumentError, Problem, SampanError, Where
from sampan.spec.composer import compose
from sampan.spec.node import List, Map, Node, place
from sampan.spec.source import Faults, Source

_STEP = re.compile(r"\[(\d+)\]|([^.\[\]]+)")


def find(sources: Sequence[Source], path: str) -> Where | None:
    """The place of `path`, or of the nearest thing around it that is written down.

    None when no document says anything of it.
    """
    steps = [int(index) if index else name for index, name in _STEP.findall(path)]
    roots = [(source, compose(Faults(source))) for source in sources]
    if len(steps) > 1 and isinstance(steps[1], int):
        return _in_list(roots, steps, steps[1])
    found = [(_walk(root, steps), source) for source, root in roots if root is not None]
    if not found:
        return None
    # of single values the last document has the say
    (depth, node), source = max(reversed(found), key=lambda one: one[0][0])
    return source.where(*place(node)) if depth else None


def locate(error: SampanError, sources: Sequence[Source]) -> SampanError:
    """`error` with the places of what it is about, as far as they are known."""
    if isinstance(error, DocumentError):
        return DocumentError([_located(problem, sources) for problem in error.problems])
    where = find(sources, error.path) if error.path else None
    if where is not None:
        error.message = f"{where}: {error.message}"
    return error


def _located(problem: Problem, sources: Sequence[Source]) -> Problem:
    where = problem.where or find(sources, problem.path)
    return Problem(problem.path, problem.message, where, problem.hint)


def _in_list(
    roots: Sequence[tuple[Source, Node | None]], steps: Sequence[str | int], index: int
) -> Where | None:
    """In a list of the top level: those of the documents are joined in their order."""
    for source, root in roots:
        items = root.get(str(steps[0])) if isinstance(root, Map) else None
        if isinstance(items, List):
            if index < len(items.items):
                _, node = _walk(items.items[index], steps[2:])
                return source.where(*place(node))
            index -= len(items.items)
    return None


def _walk(node: Node, steps: Sequence[str | int]) -> tuple[int, Node]:
    """How many of `steps` lead somewhere, and where."""
    depth = 0
    for step in steps:
        inner: Node | None = None
        if isinstance(step, str) and isinstance(node, Map):
            inner = node.get(step)
        elif isinstance(step, int) and isinstance(node, List) and step < len(node.items):
            inner = node.items[step]
        if inner is None:
            break
        node = inner
        depth += 1
    return depth, node
