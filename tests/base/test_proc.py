import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sampan.base import proc
from sampan.errors import ExitCode, ToolMissingError


def test_run_returns_what_was_printed():
    done = proc.run(["sh", "-c", "cat; echo err >&2"], stdin=b"in")
    assert (done.status, done.stdout, done.stderr) == (0, b"in", b"err\n")
    assert done.argv[0].endswith("/bin/sh")


def test_stdin_is_empty_by_default_and_may_be_a_file(tmp_path):
    assert proc.run(["cat"]).stdout == b""
    (tmp_path / "f").write_bytes(b"from a file")
    with (tmp_path / "f").open("rb") as stream:
        assert proc.run(["cat"], stdin=stream).stdout == b"from a file"


def test_environment_is_added_to_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("OURS", "1")
    done = proc.run(["sh", "-c", "echo $OURS$MORE; pwd"], env={"MORE": "2"}, cwd=tmp_path)
    assert done.stdout.decode().split() == ["12", str(tmp_path)]


def test_failure_is_explained_with_the_command_to_paste():
    with pytest.raises(proc.ChildError) as caught:
        proc.run(["sh", "-c", "echo 'no such thing' >&2; exit 3"])
    error = caught.value
    assert str(error) == "sh ended with status 3\n    no such thing"
    assert error.hint is not None
    assert error.hint.startswith("to see it again: ")
    assert "'echo '\"'\"'no such thing" in error.hint
    assert error.done.status == 3


def test_only_the_end_of_a_long_complaint_is_shown():
    with pytest.raises(proc.ChildError) as caught:
        proc.run(["sh", "-c", "seq 1000 >&2; exit 1"])
    assert str(caught.value).splitlines()[1:] == [f"    {n}" for n in range(986, 1001)]


def test_failure_may_be_the_answer():
    assert proc.run(["false"], check=False).status == 1


def test_a_killed_child_names_its_signal():
    with pytest.raises(proc.ChildError, match="sh was killed by SIGKILL"):
        proc.run(["sh", "-c", "kill -9 $$"])


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (0, "ended with status 0"),
        (2, "ended with status 2"),
        (-signal.SIGTERM, "was killed by SIGTERM"),
        (-100, "was killed by signal 100"),
    ],
)
def test_statuses_in_words(status, text):
    assert proc.explain_status(status) == text


def test_a_slow_child_is_killed():
    with pytest.raises(TimeoutError, match=r"sleep did not end within 0\.05 s"):
        proc.run(["sleep", "60"], timeout_s=0.05)


FAMILY = "sleep 600 & echo $! > {file}; wait"  # a program that starts another one


def gone(file):
    """Whether the process whose number is in `file` runs no more."""
    try:
        state = Path(f"/proc/{file.read_text().strip()}/stat").read_text()
    except FileNotFoundError:
        return True
    return state.rpartition(")")[2].split()[0] == "Z"


def test_a_watched_child_runs_to_its_end():
    seen = []
    done = proc.run(["sh", "-c", "cat; read x < $0", "/dev/null"], stdin=b"in", check=False,
                    watch=lambda: seen.append(1))  # fmt: skip
    assert done.stdout == b"in"
    slow = proc.run(["sh", "-c", "sleep 0.3; cat"], stdin=b"in", watch=lambda: seen.append(1))
    assert slow.stdout == b"in"
    assert seen


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_what_the_watch_raises_ends_the_whole_family(tmp_path, error):
    file = tmp_path / "child"

    def watch():
        if file.exists() and file.read_text().endswith("\n"):
            raise error

    with pytest.raises(error):
        proc.run(["sh", "-c", FAMILY.format(file=file)], watch=watch)
    wait_until(lambda: gone(file))


def test_a_slow_watched_child_is_killed():
    with pytest.raises(TimeoutError, match=r"sleep did not end within 0\.05 s"):
        proc.run(["sleep", "60"], timeout_s=0.05, watch=lambda: None)


def wait_until(answer):
    while not answer():  # pytest-timeout bounds it
        os.sched_yield()


def test_missing_program_names_its_package(monkeypatch, tmp_path):
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    with pytest.raises(ToolMissingError) as caught:
        proc.find_tool("qemu-system-x86_64")
    assert str(caught.value) == "qemu-system-x86_64 is not installed"
    assert caught.value.hint is not None
    assert "apt install qemu-system-x86" in caught.value.hint
    assert "brew install qemu" in caught.value.hint
    assert caught.value.exit_code == ExitCode.TOOL_MISSING
    assert not proc.has_tool("qemu-system-x86_64")


def test_program_of_no_known_package():
    with pytest.raises(ToolMissingError) as caught:
        proc.run(["no-such-program-of-sampan"])
    assert caught.value.hint == "install it: apt install no-such-program-of-sampan"


def test_programs_are_found_outside_an_ordinary_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    program = tmp_path / "mine"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    assert proc.find_tool("mine") == program
    monkeypatch.delenv("PATH")
    assert proc.has_tool("sh")


def test_a_path_is_taken_as_it_stands(tmp_path):
    assert proc.run([sys.executable, "-c", "print(1)"]).stdout == b"1\n"


def test_start_returns_at_once_and_passes_descriptors():
    reader, writer = os.pipe()
    child = proc.start(
        [sys.executable, "-c", f"import os; os.write({writer}, os.read(0, 99))"],
        stdin=subprocess.PIPE,
        pass_fds=[writer],
        new_session=True,
    )
    os.close(writer)
    assert child.stdin is not None
    assert os.getsid(child.pid) == child.pid
    child.stdin.write(b"hello\n")
    child.stdin.close()
    with os.fdopen(reader) as stream:
        assert stream.read() == "hello\n"
    assert child.wait() == 0


def test_what_runs_is_logged(caplog):
    with caplog.at_level("DEBUG", logger="sampan"):
        proc.run(["true", "a b"])
    assert caplog.messages[0].endswith("true 'a b'")
