import ctypes
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sampan.machine.error import MachineError
from sampan.machine.sharing import inotify
from sampan.machine.sharing.inotify import Inotify, Notice

NAMES = st.binary(max_size=20).filter(lambda name: b"\0" not in name)
NOTICES = st.builds(
    Notice, st.integers(-1, 2**31 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), NAMES
)


@settings(derandomize=True)
@given(st.lists(NOTICES))
def test_notices_as_the_kernel_packs_them(notices):
    packed = b""
    for each in notices:
        length = -(-(len(each.name) + 1) // 16) * 16 if each.name else 0
        packed += struct.pack("=iIII", each.watch, each.mask, each.cookie, length)
        packed += each.name.ljust(length, b"\0")
    assert list(inotify.parse(packed)) == notices


def test_what_happens_in_a_folder(tmp_path):
    with Inotify() as queue:
        watch = queue.add(bytes(tmp_path))
        assert queue.add(bytes(tmp_path)) == watch
        assert queue.read() == []
        (tmp_path / "file").touch()
        (tmp_path / "file").rename(tmp_path / "name")
        (tmp_path / "folder").mkdir()
        made, closed, left, arrived, folder = queue.read()
        assert made == (watch, inotify.CREATE, 0, b"file")
        assert closed.mask == inotify.CLOSE_WRITE
        assert (left.mask, left.name) == (inotify.MOVED_FROM, b"file")
        assert (arrived.mask, arrived.name) == (inotify.MOVED_TO, b"name")
        assert left.cookie == arrived.cookie != 0
        assert folder.mask == inotify.CREATE | inotify.IS_FOLDER
        queue.remove(watch)
        queue.remove(watch)
        (tmp_path / "unheard").touch()
        assert [each.mask for each in queue.read()] == [inotify.IGNORED]


def test_only_folders_are_watched(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path)
    with Inotify() as queue:
        for name in ("file", "link", "none"):
            with pytest.raises(OSError, match=name):
                queue.add(bytes(tmp_path / name))


def test_a_system_without_it(monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    with pytest.raises(MachineError, match="a host with Linux"):
        Inotify()


def test_no_more_of_it(monkeypatch):
    class Libc:
        def inotify_init1(self, flags):
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: Libc())
    with pytest.raises(MachineError, match="cannot watch") as caught:
        Inotify()
    assert "max_user_instances" in caught.value.hint
