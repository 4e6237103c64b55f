import os
import socket
import stat
from pathlib import Path

import pytest

from sampan.errors import SampanError
from sampan.net.runtime.control import listener


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path("net/a.sock")


def _mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_socket_and_folder_are_their_owners_alone(path):
    with listener.listen(path):
        assert (_mode(path), _mode(path.parent)) == (0o600, 0o700)


def test_what_was_left_is_replaced(path):
    listener.listen(path).close()
    before = listener.identity(path)
    assert before is not None
    with listener.listen(path):
        assert listener.identity(path) is not None


def test_who_listens_is_not_replaced(path):
    with listener.listen(path):
        with pytest.raises(SampanError, match=f"process {os.getpid()}.* listens at net/a.sock"):
            listener.listen(path)


def test_other_files_stay(path):
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(SampanError, match="no socket"):
        listener.listen(path)
    assert path.read_text() == "mine"


def test_path_that_is_too_long(tmp_path):
    with pytest.raises(SampanError, match="too long"):
        listener.listen(tmp_path / ("x" * 120))


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(SampanError, match="cannot listen at"):
        listener.listen(Path(os.path.relpath(tmp_path / "f" / "a")))


def test_identity_of_nothing(path):
    assert listener.identity(path) is None


def test_peer():
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert listener.peer(here) == os.geteuid()
