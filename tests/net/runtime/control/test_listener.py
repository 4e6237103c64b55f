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
    bound = listener.listen(path)
    assert (_mode(path), _mode(path.parent)) == (0o600, 0o700)
    bound.close()
    assert not path.exists()


def test_what_was_left_is_replaced(path):
    listener.listen(path).socket.close()
    assert path.exists()
    listener.listen(path).close()


def test_who_listens_is_not_replaced(path):
    bound = listener.listen(path)
    with pytest.raises(SampanError, match=rf"process {os.getpid()}.* listens at net/a\.sock"):
        listener.listen(path)
    bound.close()


def test_other_files_stay(path):
    path.parent.mkdir()
    path.write_text("mine")
    with pytest.raises(SampanError, match="cannot make a socket"):
        listener.listen(path)
    assert path.read_text() == "mine"


def test_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "f").write_text("")
    with pytest.raises(SampanError, match="cannot make the folder"):
        listener.listen(tmp_path / "f" / "g" / "a")


def test_peer():
    here, there = socket.socketpair(socket.AF_UNIX)
    with here, there:
        assert listener.peer(here) == os.geteuid()
