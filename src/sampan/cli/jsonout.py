"""Results and progress as JSON, one object a line, for programs that call us."""

from __future__ import annotations

import threading
from typing import Any, TextIO

import msgspec

from sampan.base.progress import Task


def line(value: object) -> str:
    """`value` (Structs, dataclasses, paths as text) as one line of JSON."""
    return msgspec.json.encode(value, enc_hook=str).decode() + "\n"


class _Counted:
    def __init__(self, label: str, total: int | None) -> None:
        self.label = label
        self.total = total

    def advance(self, amount: int) -> None:
        """Amounts are not reported: starts and ends are what programs act on."""


class Lines:
    """Progress as JSON lines: one when work starts, one when it ends, one per note."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def start(self, label: str, total: int | None) -> Task:
        """See `sampan.base.progress.Progress.start`."""
        self._write({"event": "start", "label": label, "total": total})
        return _Counted(label, total)

    def finish(self, task: Task, *, failed: bool) -> None:
        """See `sampan.base.progress.Progress.finish`."""
        assert isinstance(task, _Counted)
        self._write({"event": "finish", "label": task.label, "failed": failed})

    def note(self, message: str) -> None:
        """See `sampan.base.progress.Progress.note`."""
        self._write({"event": "note", "message": message})

    def _write(self, event: dict[str, Any]) -> None:
        with self._lock:
            self._stream.write(line(event))
            self._stream.flush()
