"""What can go wrong with a machine. Errors of one module only stand in that module."""

from __future__ import annotations

from sampan.errors import SampanError


class MachineError(SampanError):
    """A machine did not start, broke, or did not do what was asked of it."""


class MachineTimeoutError(MachineError):
    """Something that was waited for did not happen in time; the machine may still run."""


class MachineEndedError(MachineError):
    """Something was asked of, or waited for on, a machine that has ended."""
