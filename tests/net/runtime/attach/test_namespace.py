import errno
import fcntl
import os
from pathlib import Path

import pytest

from sampan.errors import SampanError
from sampan.net.runtime.attach import namespace
from sampan.net.runtime.attach.namespace import NETWORK, Namespace, find, set_namespace


def test_the_one_of_this_process_is_ours():
    with find(os.getpid()) as found:
        own = Path("/proc/self/ns/net").stat()
        assert os.fstat(found.network).st_ino == own.st_ino
        assert found.user is None
        assert str(found) == f"the network of process {os.getpid()}"


def test_by_path():
    with find(Path("/proc/self/ns/net")) as found:
        assert str(found) == "/proc/self/ns/net"


def test_no_such_process():
    with pytest.raises(SampanError, match="there is no process 4194304"):
        find(1 << 22)  # beyond the largest number


def test_nothing_there(tmp_path):
    with pytest.raises(SampanError, match=r"no .*/gone"):
        find(tmp_path / "gone")


def test_a_file_is_no_namespace(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(SampanError, match="file is no network namespace"):
        find(tmp_path / "file")


def test_nor_is_a_namespace_of_another_kind():
    with pytest.raises(SampanError, match="is no network namespace"):
        find(Path("/proc/self/ns/uts"))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "cannot look at the network of process 1"),
        (errno.EMFILE, "cannot open /proc"),
    ],
)
def test_it_cannot_be_opened(monkeypatch, number, said):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(SampanError, match=said) as caught:
        find(1)
    monkeypatch.undo()
    assert (caught.value.hint is not None) == (number == errno.EACCES)


@pytest.mark.parametrize(
    ("number", "said"), [(errno.EPERM, "outside of ours"), (errno.ENOTTY, "cannot tell who owns")]
)
def test_its_owner_is_not_told(monkeypatch, number, said):
    real = fcntl.ioctl

    def ioctl(fd, request):
        if request == namespace._OWNER:
            raise OSError(number, os.strerror(number))
        return real(fd, request)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    with pytest.raises(SampanError, match=said):
        find(os.getpid())


def test_one_of_another_owner(monkeypatch, tmp_path):
    monkeypatch.setattr(namespace, "_OWN_USER", str(tmp_path))
    with find(os.getpid()) as found:
        assert found.user is not None
        assert os.fstat(found.user).st_ino == Path("/proc/self/ns/user").stat().st_ino


def test_going_where_one_may_not(tmp_path):
    (tmp_path / "file").write_text("x")
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    with Namespace(fd, None, "the file") as target:
        with pytest.raises(SampanError, match="cannot enter the file: Invalid") as caught:
            target.join()
    assert "as root" in caught.value.hint


def test_the_kernel_s_errors_are_raised():
    with pytest.raises(OSError, match="Bad file descriptor"):
        set_namespace(-1, NETWORK)
