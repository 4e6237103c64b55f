import errno
import os
import resource
import signal

import pytest

from sampan.errors import SampanError, UsageError
from sampan.image.output import Output, explained, writing


def test_names(tmp_path):
    assert Output(tmp_path, "web").path("-kernel") == tmp_path / "web-kernel"
    assert Output(tmp_path, "web", file=tmp_path / "x").path(".tar") == tmp_path / "x"


def test_a_missing_folder(tmp_path):
    Output(tmp_path, "web").check()
    with pytest.raises(UsageError) as caught:
        Output(tmp_path / "no", "web").check()
    assert str(caught.value) == f"there is no folder {tmp_path / 'no'}"
    assert caught.value.hint == f"mkdir -p {tmp_path / 'no'}"
    with pytest.raises(UsageError):
        Output(tmp_path, "web", file=tmp_path / "no" / "x").check()


def test_what_a_killed_build_left_in_the_folder_is_removed(tmp_path):
    left = tmp_path / ".tmp-sampan-0123456789ab"
    left.write_bytes(b"half")
    with writing(tmp_path / "out") as stream:  # by another build, at the same time
        stream.write(b"new")
        Output(tmp_path, "web").check()
    assert [one.name for one in tmp_path.iterdir()] == ["out"]


def test_an_output_replaces_the_old_one_whole(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old and longer")
    with writing(path) as stream:
        stream.write(b"new")
        assert path.read_bytes() == b"old and longer"
    assert path.read_bytes() == b"new"


def test_a_failure_leaves_the_old_one(tmp_path):
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), writing(path) as stream:
        stream.writelines([b"half", None])  # type: ignore[list-item]
    assert [one.name for one in tmp_path.iterdir()] == ["out"]
    assert path.read_bytes() == b"old"


def test_links_and_pipes_are_written_through_and_stay(tmp_path):
    link, target, pipe = tmp_path / "link", tmp_path / "target", tmp_path / "pipe"
    target.write_bytes(b"old")
    link.symlink_to("target")
    with writing(link) as stream:
        stream.write(b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with writing(pipe) as stream:
        stream.write(b"through")
    assert os.read(reader, 99) == b"through"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.fixture
def small_files():
    """Files may not grow over 64 KiB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.usefixtures("small_files")
def test_nothing_half_written_remains(tmp_path):
    with pytest.raises(SampanError) as caught, writing(tmp_path / "out") as stream:
        stream.write(bytes(1 << 20))
    assert str(caught.value) == f"{tmp_path / 'out'} cannot be written: file too large"
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(tmp_path):
    with pytest.raises(SampanError) as caught, explained(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == f"{tmp_path / 'out'} cannot be written: no space left on device"
    assert caught.value.hint == "make room and build again; nothing half-written was left"


def test_other_refusals_have_no_hint(tmp_path):
    with pytest.raises(SampanError) as caught, explained(tmp_path):
        raise PermissionError(errno.EACCES, "Permission denied")
    assert caught.value.hint is None


def test_a_reader_that_left_is_not_a_fault_of_the_output(tmp_path):
    with pytest.raises(BrokenPipeError), explained(tmp_path):
        raise BrokenPipeError
