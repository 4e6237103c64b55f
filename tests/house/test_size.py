"""Nothing gets away: files and functions stay small enough to be read."""

import ast
import statistics

FILE_LINES = 400
FUNCTION_LINES = 60
MEDIAN_FILE_LINES = 200


def _lines(text: str) -> int:
    return text.count("\n")


def _length(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def test_no_file_is_long(sources):
    long = {each.shown: _lines(each.text) for each in sources if _lines(each.text) > FILE_LINES}
    assert long == {}


def test_the_median_file_is_short(sources):
    assert statistics.median(_lines(each.text) for each in sources) <= MEDIAN_FILE_LINES


def test_no_function_is_long(sources):
    long = [
        f"{source.shown}:{node.lineno} {node.name}: {_length(node)} lines"
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and _length(node) > FUNCTION_LINES
    ]
    assert not long, "\n".join(long)
