import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.errors import SampanError
from sampan.machine.registry import place
from sampan.machine.registry.record import Made


@given(st.text(max_size=90))
def test_every_text_gives_a_name(text):
    assert place.is_name(place.base_name(text))
    assert place.is_name(f"{place.base_name(text)}-123456")


def test_a_lock_is_held_once(tmp_path):
    with place.locked(tmp_path) as is_ours:
        assert is_ours
        with place.locked(tmp_path) as again:
            assert not again
    lock = place.lock_now(tmp_path)
    assert lock is not None
    assert not os.get_inheritable(lock)
    os.close(lock)


def test_reading(tmp_path):
    assert place.read(tmp_path / "none", Made) is None
    with pytest.raises(SampanError, match="cannot be read: Is a directory"):
        place.read(tmp_path, Made)


def test_nothing_to_mend(tmp_path):
    place.mend(tmp_path, 0)
    (tmp_path / place.RUN).write_text("{")
    place.mend(tmp_path, 0)
    assert [each.name for each in tmp_path.iterdir()] == [place.RUN]


def test_paths_that_lead_out_are_not_removed(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    (tmp_path / "precious").touch()
    (folder / place.MADE).write_text(
        '{"by": "1", "made_s": 0, "spec": {"kernel": "k"}, "kept": ["../precious", ".."]}'
    )
    made = place.read(folder / place.MADE, Made)
    place.clear(folder, made, made.kept)
    assert [each.name for each in tmp_path.iterdir()] == ["precious"]
