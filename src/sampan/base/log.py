"""Loggers below `sampan`, silent until the command line (or the embedding program) says so."""

from __future__ import annotations

import json as json_
import logging
import sys

logging.getLogger("sampan").addHandler(logging.NullHandler())


def get(name: str) -> logging.Logger:
    """The logger of module `name`."""
    return logging.getLogger(name)


def to_stderr(verbosity: int, *, json: bool = False) -> None:
    """Show log lines on stderr: 0 errors, 1 warnings, 2 what is done, 3 everything.

    Up to 1 they are for users, and look like whatever else is said to them (`json`: as objects);
    from 2 on they name the module that speaks.
    """
    level = [logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG][max(0, min(verbosity, 3))]
    plain = "sampan: %(message)s" if verbosity < 2 else "%(levelname).1s %(name)s: %(message)s"
    handler = _Stderr()
    handler.setFormatter(_Objects() if json else logging.Formatter(plain))
    root = logging.getLogger("sampan")
    root.handlers[:] = [handler]
    root.setLevel(level)


class _Stderr(logging.Handler):
    """Writes to what is stderr at the time; a terminal may be raw, and not return the carriage."""

    def emit(self, record: logging.LogRecord) -> None:
        """Part of `logging.Handler`."""
        try:
            text = self.format(record)
            newline = "\r\n" if sys.stderr.isatty() else "\n"
            sys.stderr.write(text.replace("\n", newline) + newline)
            sys.stderr.flush()
        except (OSError, ValueError):  # the terminal is gone
            return


class _Objects(logging.Formatter):
    """One JSON object a line, in the form of other events."""

    def format(self, record: logging.LogRecord) -> str:
        """Part of `logging.Formatter`."""
        event = {"event": record.levelname.lower(), "message": record.getMessage()}
        return json_.dumps(event, ensure_ascii=False)
