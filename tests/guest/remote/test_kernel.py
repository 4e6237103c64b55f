import os

import pytest

from sampan.guest.remote import kernel


def test_a_modification_that_changes_nothing(tmp_path):
    path = tmp_path / "file"
    path.touch()
    os.utime(path, ns=(1_000, 1_234_567_890_123_456_789))
    kernel.modified(str(path))
    found = path.stat()
    assert (found.st_atime_ns, found.st_mtime_ns) == (1_000, 1_234_567_890_123_456_789)


@pytest.mark.parametrize(
    "act",
    [
        lambda path: kernel.modified(f"{path}/none"),
        lambda path: kernel.mount("none", f"{path}/none", "no-such-type", "", read_only=True),
        lambda path: kernel.enter_mounts(os.open(path, os.O_RDONLY | os.O_CLOEXEC)),
    ],
)
def test_the_kernel_refuses(tmp_path, act):
    with pytest.raises(OSError, match=r"."):
        act(str(tmp_path))
