"""Open files, apart from requests."""

import os

import pytest

from sampan.vhost.runtime.fuse.handle import Handle, Handles
from sampan.vhost.runtime.fuse.node import Node

NODE = Node(1, -1, (0, 0), 0)


def test_files_and_folders(tmp_path, open_fds):
    before = open_fds()
    handles = Handles(2)
    folder = Handle(os.open(tmp_path, os.O_RDONLY), NODE, folder=True)
    number, other = handles.add(folder), handles.add(Handle(-1, NODE, writable=True))
    assert handles.folder(number) is folder is handles.get(number)
    assert handles.file(other, writable=True).node is NODE
    assert len(list(handles)) == len(handles) == 2
    for wrong in (
        lambda: handles.file(number),
        lambda: handles.folder(other),
        lambda: handles.get(9),
    ):
        with pytest.raises(OSError, match="no such handle"):
            wrong()
    with pytest.raises(OSError, match="too many files"):
        handles.check()
    assert handles.close(other).fd == -1
    assert handles.close(other) is None
    handles.check()
    handles.clear()
    assert open_fds() == before


def test_a_file_that_is_only_read():
    handles = Handles(1)
    number = handles.add(Handle(-1, NODE))
    handles.file(number)
    with pytest.raises(OSError, match="no such handle"):
        handles.file(number, writable=True)
