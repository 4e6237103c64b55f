import io
import json
from pathlib import Path

import msgspec

from sampan.base import progress
from sampan.cli import jsonout


class Point(msgspec.Struct):
    x: int
    where: Path


def test_values_of_ours_become_one_line():
    assert jsonout.line(Point(1, Path("/a"))) == '{"x":1,"where":"/a"}\n'


def test_progress_as_lines():
    stream = io.StringIO()
    lines = jsonout.Lines(stream)
    with progress.task(lines, "pull", 10) as task:
        task.advance(10)
        lines.note("hello")
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [
        {"event": "start", "label": "pull", "total": 10},
        {"event": "note", "message": "hello"},
        {"event": "finish", "label": "pull", "failed": False},
    ]
