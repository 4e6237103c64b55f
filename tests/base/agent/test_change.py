import pytest

from sampan.base.agent import change


@pytest.mark.parametrize(
    ("path", "folder", "expected"),
    [
        ("a/b", "a", True),
        ("a", "a", True),
        ("ab", "a", False),
        ("a", "a/b", False),
        ("a", "", True),
        ("", "", True),
    ],
)
def test_what_is_in_a_folder(path, folder, expected):
    assert change.is_below(path, folder) is expected
