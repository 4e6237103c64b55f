import errno
import fcntl
import multiprocessing
import os
import stat
from contextlib import ExitStack
from pathlib import Path

import pytest

from sampan.base import fs


def _names(folder):
    return [path.name for path in folder.iterdir()]


def test_file_appears_whole(tmp_path):
    target = tmp_path / "state"
    with fs.atomic_file(target, mode=0o600) as stream:
        stream.write(b"half")
        assert not target.exists()
        stream.write(b" and half")
    assert target.read_bytes() == b"half and half"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


@pytest.mark.parametrize("durable", [True, False])
def test_failed_block_leaves_the_old_file_and_nothing_else(tmp_path, durable):
    target = tmp_path / "state"
    target.write_bytes(b"old")
    with pytest.raises(TypeError), fs.atomic_file(target, durable=durable) as stream:
        stream.writelines([b"new", "not bytes"])  # type: ignore[list-item]
    assert target.read_bytes() == b"old"
    assert _names(tmp_path) == ["state"]


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError), fs.atomic_file(tmp_path / "no" / "file"):
        pass


def test_target_that_is_a_folder_is_an_error_and_leaves_nothing(tmp_path):
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        fs.write_atomically(tmp_path / "folder", b"x")
    assert _names(tmp_path) == ["folder"]


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to("folder/target")
    fs.write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder" / "target").read_bytes() == b"new"


def test_a_pipe_is_written_not_replaced(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    fs.write_atomically(pipe, b"through it")
    assert os.read(reader, 100) == b"through it"
    os.close(reader)
    assert pipe.is_fifo()


def test_a_device_is_written_not_replaced():
    with pytest.raises(OSError, match="No space left"):
        fs.write_atomically(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()


def test_write_atomically_replaces(tmp_path):
    target = tmp_path / "f"
    fs.write_atomically(target, b"1")
    fs.write_atomically(target, b"22", durable=False)
    assert target.read_bytes() == b"22"


def test_write_atomically_names_what_it_cannot_write(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        fs.write_atomically(tmp_path / "f", b"1")
    assert caught.value.filename == str(tmp_path / "f")
    assert _names(tmp_path) == []


def test_caller_may_close_the_stream_early(tmp_path):
    with pytest.raises(ValueError, match="closed"), fs.atomic_file(tmp_path / "f") as stream:
        stream.close()
    assert _names(tmp_path) == []


def _add_one(lock, counter):
    for _ in range(50):
        with fs.locked(lock):
            counter.write_text(str(int(counter.read_text()) + 1))


def test_lock_keeps_processes_apart(tmp_path):
    counter = tmp_path / "counter"
    counter.write_text("0")
    context = multiprocessing.get_context("spawn")
    children = [
        context.Process(target=os.system, args=(_shell_counter(tmp_path),)) for _ in range(2)
    ]
    for child in children:
        child.start()
    _add_one(tmp_path / "deep" / "lock", counter)
    for child in children:
        child.join()
    assert counter.read_text().strip() == "150"


def _shell_counter(folder):
    step = f"n=$(cat {folder}/counter); echo $((n + 1)) > {folder}/counter"
    return f"for i in $(seq 50); do flock {folder}/deep/lock sh -c '{step}'; done"


def test_shared_locks_do_not_wait_for_each_other(tmp_path):
    with fs.locked(tmp_path / "lock", shared=True), fs.locked(tmp_path / "lock", shared=True):
        pass


def test_waiting_for_a_lock_can_be_given_up(tmp_path):
    def give_up():
        raise KeyboardInterrupt

    with fs.locked(tmp_path / "lock"):
        with pytest.raises(KeyboardInterrupt), fs.locked(tmp_path / "lock", wait=give_up):
            pass
        with fs.locked(tmp_path / "other", wait=give_up):
            pass


def test_waiting_for_a_lock_ends_with_it(tmp_path):
    with ExitStack() as stack:
        stack.enter_context(fs.locked(tmp_path / "lock"))
        with fs.locked(tmp_path / "lock", wait=stack.close):
            pass


@pytest.mark.parametrize("plain", [True, False])
def test_copy_range_copies_what_was_asked(tmp_path, monkeypatch, plain):
    if plain:
        monkeypatch.setattr(os, "copy_file_range", _refuse)
    data = os.urandom(3 << 20)
    (tmp_path / "source").write_bytes(data)
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        target.write(b"head")
        target.flush()
        fs.copy_range(source.fileno(), target.fileno(), 2 << 20, offset=100)
    assert (tmp_path / "target").read_bytes() == b"head" + data[100 : 100 + (2 << 20)]


@pytest.mark.parametrize("plain", [True, False])
def test_copy_range_notices_a_short_source(tmp_path, monkeypatch, plain):
    if plain:
        monkeypatch.setattr(os, "copy_file_range", _refuse)
    (tmp_path / "source").write_bytes(b"short")
    with (tmp_path / "source").open("rb") as source, (tmp_path / "target").open("wb") as target:
        with pytest.raises(EOFError, match="95 bytes short"):
            fs.copy_range(source.fileno(), target.fileno(), 100)


def _refuse(*_):
    raise OSError


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        fs.write_atomically(tmp_path / "f", b"x")
    assert _names(tmp_path) == []


STALE = f"{fs.TEMPORARY_PREFIX}0123456789ab"


def test_what_a_killed_process_left_is_removed(tmp_path):
    (tmp_path / STALE).write_bytes(b"half")
    assert fs.remove_stale(tmp_path) == 4
    assert _names(tmp_path) == []


def test_what_is_being_written_stays(tmp_path):
    with fs.atomic_file(tmp_path / "f") as stream:
        stream.write(b"whole")
        stream.flush()
        assert fs.remove_stale(tmp_path) == 0
    assert (tmp_path / "f").read_bytes() == b"whole"


def test_what_is_not_ours_stays(tmp_path):
    (tmp_path / "target").write_bytes(b"x")
    (tmp_path / ".tmp-0123456789ab").write_bytes(b"x")
    (tmp_path / f"{STALE}c").write_bytes(b"x")
    (tmp_path / f"{STALE[:-1]}0").mkdir()
    (tmp_path / f"{STALE[:-1]}1").symlink_to("target")
    os.mkfifo(tmp_path / f"{STALE[:-1]}2")
    before = sorted(_names(tmp_path))
    assert fs.remove_stale(tmp_path) == 0
    assert sorted(_names(tmp_path)) == before


def test_a_file_that_was_removed_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    lock, left = fcntl.flock, [1]

    def late(descriptor, how):
        if left:
            left.pop()
            for path in tmp_path.iterdir():
                path.unlink()
        lock(descriptor, how)

    monkeypatch.setattr(fcntl, "flock", late)
    fs.write_atomically(tmp_path / "f", b"x")
    assert (tmp_path / "f").read_bytes() == b"x"
    assert _names(tmp_path) == ["f"]
