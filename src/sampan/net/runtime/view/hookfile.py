"""Hooks out of a Python file of the user's (`--hooks FILE`)."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from pathlib import Path
from typing import Any

from sampan.errors import UsageError
from sampan.net.hook import Hook, collect


def load(path: Path) -> tuple[Hook[Any], ...]:
    """The hooks that a file defines, in the order in which it defines them.

    The file is run, as a module of its own: it may import what it likes.

    Raises:
        UsageError: it is not there, cannot be run (file, line and error are named), or has
            no hooks.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file", hint="name a Python file with hooks in it")
    name = f"sampan_hooks_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is no Python file", hint="its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and pickles look their module up
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise UsageError(f"{_place(path, error)}: {type(error).__name__}: {error}") from error
    hooks = collect(vars(module))
    if not hooks:
        raise UsageError(
            f"{path} has no hooks",
            hint="decorate functions with on_flow, on_http_request or on_dns of sampan.net.hook",
        )
    return hooks


def _place(path: Path, error: BaseException) -> str:
    """The file and line that an error is about, as far as the file has to do with it."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return f"{path}:{error.lineno}"
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return f"{path}:{lines[-1]}" if lines else str(path)
