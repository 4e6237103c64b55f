"""Noticing that a guest's kernel panicked when it cannot tell us itself.

Theory of operation. A guest with the pvpanic driver reports a panic and QEMU ends the
machine. Many kernels have it as a module, or panic before it is loaded, so the console is
watched for the kernel's own words as well. Two things may follow them:

- `panic=N` with N ≠ 0: the guest resets. A reset after those words ends the machine rather
  than letting it panic again and again.
- `panic=0`: the kernel prints `---[ end Kernel panic …` and spins forever, saying nothing
  more. When that line stays the last one for `SILENCE_S`, the machine is ended.

Text alone never ends a machine: a user may look at an old log.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

from sampan.machine import qmp

SILENCE_S = 3.0
_KEPT_BYTES = 4096
_PANIC = re.compile(rb"Kernel panic - not syncing: ([^\r\n]*)")
_SPINNING = re.compile(rb"---\[ end Kernel panic - not syncing: [^\n]*\]---\s*$")


class PanicWatch:
    """Calls `on_panic` with the kernel's reason, at most once."""

    def __init__(self, on_panic: Callable[[str], None], *, silence_s: float = SILENCE_S) -> None:
        self._on_panic = on_panic
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._recent = b""
        self._reason = ""
        self._timer: asyncio.TimerHandle | None = None
        self._told = False

    def console_said(self, data: bytes) -> None:
        """Look at console output."""
        self._stop_timer()
        self._recent = (self._recent + data)[-_KEPT_BYTES:]
        if found := _PANIC.search(self._recent):
            self._reason = found.group(1).decode(errors="replace").strip()
        if _SPINNING.search(self._recent):
            self._timer = self._loop.call_later(self._silence_s, self._tell)

    def noticed(self, notice: qmp.Notice) -> None:
        """Look at an event of the hypervisor."""
        if notice.name != "RESET":
            return
        if self._reason:
            self._tell()
        self._recent, self._reason = b"", ""

    def close(self) -> None:
        """Stop watching."""
        self._stop_timer()
        self._told = True

    def _tell(self) -> None:
        if not self._told:
            self._told = True
            self._on_panic(f"the guest's kernel panicked: {self._reason}")

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
