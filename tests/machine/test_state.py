import fcntl
import os
import signal
import subprocess
import sys

import msgspec
import pytest

from sampan.machine import state
from sampan.machine.error import MachineError


@pytest.fixture
def sleeper():
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as child:
        yield child
        child.kill()


def test_identity_of_a_process(sleeper):
    identity = state.Identity.of(sleeper.pid)
    assert identity is not None
    assert identity.alive()
    sleeper.kill()
    sleeper.wait()
    assert not identity.alive()
    assert state.Identity.of(sleeper.pid) is None


def test_a_later_process_with_the_same_pid_is_another():
    identity = state.Identity.of(os.getpid())
    assert identity is not None
    assert not msgspec.structs.replace(identity, started="1").alive()
    assert not msgspec.structs.replace(identity, boot_id="another boot").alive()


def test_folder_lives_as_long_as_its_block(runtime_root):
    with state.machine_folder(runtime_root) as folder:
        assert folder.path.is_dir()
        assert len(os.fsencode(folder.console_socket)) < state.SOCKET_PATH_LIMIT
        folder.record(os.getpid())
        identity = folder.process()
        assert identity is not None
        assert identity.pid == os.getpid()
        state.sweep(runtime_root)
        assert folder.path.is_dir(), "a folder in use was swept away"
    assert not folder.path.exists()


def test_what_a_crash_left_is_removed_and_its_process_ended(runtime_root, sleeper):
    left = runtime_root / "vm-0badca"
    left.mkdir()
    state.Folder(left).record(sleeper.pid)
    with state.machine_folder(runtime_root):
        assert not left.exists()
    assert sleeper.wait(timeout=60) == -signal.SIGKILL


def test_a_folder_that_its_owner_removes_just_then(runtime_root, monkeypatch, caplog):
    left = runtime_root / "vm-0badca"
    left.mkdir()
    flock = fcntl.flock

    def removed_before(descriptor, kind):
        left.rmdir()
        flock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", removed_before)
    state.sweep(runtime_root)
    assert not caplog.messages


def test_a_folder_left_by_an_earlier_boot_ends_nobody(runtime_root, sleeper):
    left = runtime_root / "vm-0badca"
    left.mkdir()
    living = state.Identity.of(sleeper.pid)
    assert living is not None
    identity = msgspec.structs.replace(living, boot_id="earlier")
    (left / "process.json").write_bytes(msgspec.json.encode(identity))
    state.sweep(runtime_root)
    assert not left.exists()
    assert sleeper.poll() is None


@pytest.mark.parametrize("content", [b"", b"{", b'{"pid": "x"}', b"\xff"])
def test_damaged_record(runtime_root, content):
    folder = state.Folder(runtime_root)
    (runtime_root / "process.json").write_bytes(content)
    assert folder.process() is None


def test_root_that_is_too_long_is_replaced(tmp_path):
    long = tmp_path / ("x" * 200)
    root = state.runtime_root(long)
    assert root.parts[:2] == ("/", "tmp")
    assert not long.exists()
    assert len(f"{root}/vm-123456/console") < state.SOCKET_PATH_LIMIT


def test_root_is_made_private(runtime_root):
    root = state.runtime_root(runtime_root / "new" / "er")
    assert root.stat().st_mode & 0o777 == 0o700


def test_root_that_others_write_is_refused(runtime_root):
    runtime_root.chmod(0o777)
    with pytest.raises(MachineError, match="not a folder of ours alone"):
        state.runtime_root(runtime_root)


def test_root_that_is_a_link_is_refused(runtime_root):
    link = runtime_root / "link"
    link.symlink_to(runtime_root)
    with pytest.raises(MachineError, match="not a folder of ours alone"):
        state.runtime_root(link)


def test_root_that_cannot_be_made(runtime_root):
    (runtime_root / "file").touch()
    with pytest.raises(MachineError, match="cannot make the runtime folder"):
        state.runtime_root(runtime_root / "file" / "x")


def test_what_is_not_ours_is_left_alone(runtime_root):
    mine = runtime_root / "holiday" / "photos"
    mine.mkdir(parents=True)
    strange = runtime_root / "vm-0badca"
    strange.mkdir()
    (strange / "precious").touch()
    state.sweep(runtime_root)
    assert mine.is_dir()
    assert (strange / "precious").exists()


@pytest.mark.parametrize("has_pidfd", [True, False])
def test_waiting_for_a_process_of_somebody_else(sleeper, has_pidfd, monkeypatch):
    monkeypatch.setattr(state, "_HAS_PIDFD", has_pidfd)
    identity = state.Identity.of(sleeper.pid)
    assert identity is not None
    assert not identity.wait(0)
    assert identity.kill()
    assert sleeper.wait(timeout=60) == -signal.SIGKILL
    assert identity.wait(0)
    assert identity.kill()


def test_another_process_with_that_pid_is_neither_waited_for_nor_ended(sleeper):
    living = state.Identity.of(sleeper.pid)
    assert living is not None
    assert msgspec.structs.replace(living, started="1").kill()
    assert sleeper.poll() is None


def test_a_process_that_was_not_recorded_yet_is_found_by_its_mark(runtime_root):
    left = state.Folder(runtime_root / "vm-0badca")
    left.path.mkdir()
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "print(flush=True); input()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=left.mark,
    ) as child:
        child.stdout.readline()
        assert [each.pid for each in state.left_behind(left)] == [child.pid]
        state.sweep(runtime_root)
        assert child.wait(timeout=60) == -signal.SIGKILL
    assert not left.path.exists()


@pytest.mark.parametrize(("threads", "is_there"), [(2, True), (1, False), (0, False)])
def test_a_process_is_gone_with_its_last_thread(tmp_path, monkeypatch, threads, is_there):
    """The others hold its files, and locks, for a moment longer than the first."""
    (tmp_path / "self").mkdir()
    (tmp_path / "12").mkdir()
    fields = ["Z", *["0"] * 16, str(threads), "0", "4711", "0"]
    (tmp_path / "12" / "stat").write_text(f"12 (a ) b) {' '.join(fields)}\n")
    monkeypatch.setattr(state, "_PROC", tmp_path)
    monkeypatch.setattr(state, "boot_id", lambda: "b")
    assert state.Identity(12, "4711", "b").alive() is is_there
