import pytest

from sampan.package import space


def test_room_that_is_there(tmp_path):
    assert space.free(tmp_path) > 0
    space.require(tmp_path, 1, "lists")
    assert not space.is_full(tmp_path)


def test_room_that_is_not(tmp_path):
    with pytest.raises(space.NoSpaceError, match=f"no space left for {tmp_path}: lists need") as e:
        space.require(tmp_path, 1 << 80, "lists")
    assert "sampan cache clean" in (e.value.hint or "")


def test_a_disk_with_next_to_nothing_is_full(tmp_path, monkeypatch):
    monkeypatch.setattr(space, "free", lambda folder: 4096)
    assert space.is_full(tmp_path)


@pytest.mark.parametrize(
    ("said", "full"),
    [
        ("E: Write error - write (28: No space left on device)", True),
        ("E: You don't have enough free space in /x", True),
        ("write: Disk quota exceeded", True),
        ("E: Unable to locate package", False),
    ],
)
def test_what_programs_say_of_a_full_disk(said, full):
    assert space.means_full(said) is full
