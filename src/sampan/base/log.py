"""Loggers below `sampan`, silent until the command line (or the embedding program) says so."""

from __future__ import annotations

import logging

logging.getLogger("sampan").addHandler(logging.NullHandler())


def get(name: str) -> logging.Logger:
    """The logger of module `name`."""
    return logging.getLogger(name)


def to_stderr(verbosity: int) -> None:
    """Show log lines on stderr: 0 errors, 1 warnings, 2 what is done, 3 everything."""
    level = [logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG][max(0, min(verbosity, 3))]
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(levelname).1s %(name)s: %(message)s"))
    root = logging.getLogger("sampan")
    root.handlers[:] = [handler]
    root.setLevel(level)
