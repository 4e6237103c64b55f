"""Every way a command can fail, as text or JSON on stderr and an exit status.

Errors of ours are shown with their hint; errors of the operating system in one line; wrong
usage with where to read on. Anything else is our own fault: the traceback is saved to a file
that can be sent to us, and one line says so.
"""

from __future__ import annotations

import errno
import os
import select
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import click

from sampan.cli import settings
from sampan.cli.target import SeveralError
from sampan.errors import DocumentError, ExitCode, Problem, SampanError

_OS_HINTS = {
    errno.ENOSPC: "free some space, or write to another disk",
    errno.EDQUOT: "free some space, or write to another disk",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
}


class Failure(NamedTuple):
    """What is said of an error; `problems` are the faults of a document."""

    code: ExitCode
    message: str
    hint: str | None = None
    problems: tuple[Problem, ...] = ()


def report(error: BaseException, *, json: bool) -> int:
    """Show `error` on stderr and return the exit status that stands for it."""
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else ExitCode.FAILED
    if isinstance(error, BrokenPipeError) and _reader_has_gone():
        _silence_stdout()
        return ExitCode.FAILED
    if isinstance(error, click.exceptions.NoArgsIsHelpError) and not json:
        sys.stderr.write(f"{error.format_message()}\n")  # the help is all there is to say
        return ExitCode.USAGE
    failure = explain(error)
    if json:
        from sampan.cli import jsonout

        each = map(explain, error.errors) if isinstance(error, SeveralError) else (failure,)
        sys.stderr.writelines(jsonout.line({"error": as_object(one)}) for one in each)
    else:
        sys.stderr.write(as_text(failure))
    return failure.code


def explain(error: BaseException) -> Failure:
    """What to say of `error`; for our own faults this saves the traceback."""
    match error:
        case DocumentError():
            return Failure(error.exit_code, error.message, error.hint, error.problems)
        case SampanError():
            return Failure(error.exit_code, error.message, error.hint)
        case click.exceptions.NoArgsIsHelpError():
            return Failure(ExitCode.USAGE, "a command is missing", _usage_hint(error))
        case click.UsageError():
            return Failure(ExitCode.USAGE, error.format_message(), _usage_hint(error))
        case click.ClickException():
            return Failure(ExitCode.FAILED, error.format_message())
        case KeyboardInterrupt() | click.exceptions.Abort():
            return Failure(ExitCode.INTERRUPTED, "interrupted")
        case OSError():
            return Failure(ExitCode.FAILED, _os_message(error), _OS_HINTS.get(error.errno or 0))
        case _:
            return _our_fault(error)


def as_text(failure: Failure) -> str:
    """The failure for people: `sampan: …` and hint lines; faults of a document by themselves."""
    if failure.problems:
        count = len(failure.problems)
        lines = [failure.message, f"sampan: {count} fault{'s' if count > 1 else ''} found"]
    else:
        lines = [f"sampan: {failure.message}"]
    if failure.hint:
        lines.append(f"  hint: {failure.hint}")
    return "\n".join(lines) + "\n"


def as_object(failure: Failure) -> dict[str, Any]:
    """The failure for programs; the keys are part of the interface."""
    said: dict[str, Any] = {"code": int(failure.code), "message": failure.message}
    if failure.hint:
        said["hint"] = failure.hint
    if failure.problems:
        said["problems"] = [_problem_object(problem) for problem in failure.problems]
    return said


def _problem_object(problem: Problem) -> dict[str, Any]:
    said: dict[str, Any] = {"path": problem.path, "message": problem.message}
    if problem.hint:
        said["hint"] = problem.hint
    if problem.where:
        where = problem.where
        said |= {"file": where.file, "line": where.line, "column": where.column}
    return said


def _usage_hint(error: click.UsageError) -> str:
    command = error.ctx.command_path if error.ctx else "sampan"
    return f"see {command} --help"


def _os_message(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    if error.filename is None:
        return reason
    name = (
        os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else error.filename
    )
    return f"{name}: {reason}"


def _our_fault(error: BaseException) -> Failure:
    text = "".join(traceback.format_exception(error))
    return Failure(
        ExitCode.BUG,
        f"this is a fault of Sampan: {type(error).__name__}: {error}",
        f"please report it with the file {_save(text)}",
    )


def _save(text: str) -> Path:
    """Keep a traceback where its user finds it; the temporary folder if home is not writable."""
    for folder in (settings.state_folder() / "crash", Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix="sampan-crash-", suffix=".txt", dir=folder)
        except OSError:
            continue
        with os.fdopen(descriptor, "w", errors="backslashreplace") as stream:
            stream.write(text)
        return Path(name)
    sys.stderr.write(text)
    return Path("(not saved: no folder is writable; it is shown above)")


def _reader_has_gone() -> bool:
    """Whether what reads our stdout (`| head`) has ended, rather than some other pipe."""
    poll = select.poll()
    try:
        poll.register(sys.stdout.fileno(), select.POLLOUT)
    except (OSError, ValueError):
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _silence_stdout() -> None:
    """Keep the interpreter from complaining when it flushes stdout at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)
