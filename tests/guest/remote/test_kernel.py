import os

import pytest

from sampan.guest.remote import kernel


@pytest.mark.parametrize("is_content", [True, False])
@pytest.mark.parametrize("name", ["file", ""])
def test_a_touch_that_changes_nothing(tmp_path, name, is_content):
    path = tmp_path / name
    if name:
        path.touch()
    os.utime(path, ns=(1_000, 1_234_567_890_123_456_789))
    folder = os.open(tmp_path, os.O_RDONLY | os.O_CLOEXEC)
    kernel.touched(folder, name, is_content=is_content)
    os.close(folder)
    found = path.stat()
    assert (found.st_atime_ns, found.st_mtime_ns) == (1_000, 1_234_567_890_123_456_789)


def test_what_is_opened_is_in_the_folder(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "file").write_text("text")
    (tmp_path / "link").symlink_to("sub")
    folder = os.open(tmp_path, os.O_PATH | os.O_CLOEXEC)
    file = kernel.open_beneath(folder, "sub/file", os.O_RDONLY)
    assert os.read(file, 9) == b"text"
    os.close(file)
    for path in ("link/file", "../x", "sub/../../x", "/etc/passwd", "none"):
        with pytest.raises(OSError, match=path):
            kernel.open_beneath(folder, path, os.O_RDONLY)
    os.close(folder)


@pytest.mark.parametrize(
    "act",
    [
        lambda path: kernel.touched(os.open(path, os.O_PATH), "none", is_content=True),
        lambda path: kernel.mount("none", f"{path}/none", "no-such-type", "", read_only=True),
        lambda path: kernel.enter_mounts(os.open(path, os.O_RDONLY | os.O_CLOEXEC)),
    ],
)
def test_the_kernel_refuses(tmp_path, act):
    with pytest.raises(OSError, match=r"."):
        act(str(tmp_path))
