import errno
import subprocess
import sys

import click
import pytest

from sampan.cli import failure
from sampan.errors import DocumentError, Problem, SampanError, ToolMissingError, Where


@pytest.fixture(autouse=True)
def state(monkeypatch, tmp_path):
    monkeypatch.setattr("sampan.cli.settings.state_folder", lambda: tmp_path / "share")
    return tmp_path / "share"


def _text(error):
    return failure.as_text(failure.explain(error))


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (SampanError("it broke"), 1, "sampan: it broke\n"),
        (SampanError("it broke", hint="mend it"), 1, "sampan: it broke\n  hint: mend it\n"),
        (ToolMissingError("no x", hint="get it"), 3, "sampan: no x\n  hint: get it\n"),
        (click.UsageError("huh"), 2, "sampan: huh\n  hint: see sampan --help\n"),
        (click.ClickException("no"), 1, "sampan: no\n"),
        (click.exceptions.Abort(), 130, "sampan: interrupted\n"),
        (KeyboardInterrupt(), 130, "sampan: interrupted\n"),
        (FileNotFoundError(2, "No such file or directory", "web.yml"), 1,
         "sampan: web.yml: No such file or directory\n"),
        (OSError(errno.ENOSPC, "No space left on device"), 1,
         "sampan: No space left on device\n  hint: free some space, or write to another disk\n"),
        (PermissionError(13, "Permission denied", b"/root/\xff"), 1,
         "sampan: /root/\udcff: Permission denied\n"),
        (TimeoutError("apt did not end within 5 s"), 1, "sampan: apt did not end within 5 s\n"),
        (ConnectionResetError(), 1, "sampan: ConnectionResetError\n"),
    ],
)  # fmt: skip
def test_every_failure_in_words(error, status, text):
    assert failure.explain(error).code == status
    assert _text(error) == text


DOCUMENT = DocumentError(
    [
        Problem("kernel", "is missing"),
        Problem("x", "unknown", Where("w.yml", 2, 1, "x: 1"), "did you mean 'y'?"),
    ]
)


def test_faults_of_a_document_all_at_once():
    assert _text(DOCUMENT) == (
        "kernel: is missing\n"
        "w.yml:2:1: x: unknown\n    x: 1\n    ^\n    did you mean 'y'?\n"
        "sampan: 2 faults found\n"
    )
    assert _text(DocumentError([Problem("a", "b")])).endswith("sampan: 1 fault found\n")


def test_faults_of_a_document_as_objects():
    assert failure.as_object(failure.explain(DOCUMENT))["problems"] == [
        {"path": "kernel", "message": "is missing"},
        {"path": "x", "message": "unknown", "hint": "did you mean 'y'?",
         "file": "w.yml", "line": 2, "column": 1},
    ]  # fmt: skip


def _our_fault():
    try:
        return dict[str, int]()["no such key"]
    except KeyError as error:
        return failure.explain(error)


def test_our_own_fault_is_saved(state):
    said = _our_fault()
    assert said.code == 70
    assert said.message == "this is a fault of Sampan: KeyError: 'no such key'"
    [saved] = (state / "crash").iterdir()
    assert str(saved) in (said.hint or "")
    assert "_our_fault" in saved.read_text()


def test_our_own_fault_with_nowhere_to_save(state, monkeypatch, capsys):
    state.write_text("not a folder")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(state))
    assert "not saved" in (_our_fault().hint or "")
    assert "Traceback" in capsys.readouterr().err


def test_our_own_fault_in_a_read_only_home_goes_to_the_temporary_folder(
    state, monkeypatch, tmp_path
):
    state.write_text("not a folder")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "tmp"))
    assert str(tmp_path / "tmp") in (_our_fault().hint or "")


def test_report_writes_text_or_an_object(capsys):
    assert failure.report(SampanError("a", hint="b"), json=True) == 1
    assert capsys.readouterr().err == '{"error":{"code":1,"message":"a","hint":"b"}}\n'
    assert failure.report(SampanError("a"), json=False) == 1
    assert capsys.readouterr().err == "sampan: a\n"


@pytest.mark.parametrize(
    ("error", "status"),
    [(click.exceptions.Exit(5), 5), (SystemExit(4), 4), (SystemExit("text"), 1)],
)
def test_exits_that_were_asked_for_say_nothing(capsys, error, status):
    assert failure.report(error, json=False) == status
    assert capsys.readouterr() == ("", "")


def test_a_broken_pipe_elsewhere_is_an_error(capsys):
    """Our stdout is fine; what broke is a pipe to a child or a socket."""
    assert failure.report(BrokenPipeError(errno.EPIPE, "Broken pipe"), json=False) == 1
    assert capsys.readouterr().err == "sampan: Broken pipe\n"


def test_names_that_are_not_text_can_be_printed(tmp_path):
    code = (
        "import sys; from sampan.cli.failure import report\n"
        "sys.exit(report(FileNotFoundError(2, 'gone', b'/\\xff'), json=False))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (1, b"sampan: /\\udcff: gone\n")
