import os

import pytest

from sampan.guest.agent import kernel
from sampan.guest.agent.mount import BIND, Call


def test_a_refused_mount_names_both_ends():
    with pytest.raises(OSError, match="source") as caught:
        kernel.mount(Call("/no/such/source", "/no/such/target", "", BIND, ""))
    assert caught.value.filename == "/no/such/source"
    assert caught.value.filename2 == "/no/such/target"


def test_unmounting_nothing_is_no_fault():
    assert kernel.unmount("/no/such/mount") is False


def test_a_subreaper_inherits_orphans():
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # in a process of its own: the attribute stays for good
        kernel.become_subreaper()
        middle = os.fork()
        if middle == 0:
            os.write(writer, b"%d" % os.spawnv(os.P_NOWAIT, "/bin/sh", ["sh", "-c", "exit 7"]))
            os._exit(0)
        os.waitpid(middle, 0)
        orphan = int(os.read(reader, 20))
        os._exit(os.waitstatus_to_exitcode(os.waitpid(orphan, 0)[1]))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    os.close(reader)
    os.close(writer)
