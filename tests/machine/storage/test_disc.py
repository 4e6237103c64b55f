import string
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sampan.base import proc
from sampan.machine.storage import disc, iso

NAMES = st.text(string.ascii_letters + string.digits + "._-", min_size=1, max_size=99).map(
    lambda text: f"f{text}"
)
SAME_FOLDER = settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SAME_FOLDER
@given(files=st.dictionaries(NAMES, st.binary(max_size=5000), max_size=40))
def test_all_that_goes_in_comes_out(tmp_path, files):
    path = tmp_path / "disc"
    path.write_bytes(iso.build("label", files))
    assert {name: disc.content(path, name, limit=5000) for name in files} == files
    assert disc.content(path, "none", limit=5000) is None


def test_what_is_too_long(tmp_path):
    path = tmp_path / "disc"
    path.write_bytes(iso.build("config", {"config": b"12345"}))
    assert disc.content(path, "config", limit=5) == b"12345"
    assert disc.content(path, "config", limit=4) is None
    path.write_bytes(path.read_bytes()[:-2048])
    assert disc.content(path, "config", limit=5) is None


@SAME_FOLDER
@given(data=st.binary(max_size=300), at=st.integers(0, 22 * 2048))
def test_damaged_discs_are_no_obstacle(tmp_path, data, at):
    path = tmp_path / "disc"
    whole = bytearray(iso.build("config", {"config": b"x" * 50, "other": b""}))
    whole[at : at + len(data)] = data
    path.write_bytes(whole)
    found = disc.content(path, "config", limit=50)
    assert found is None or len(found) <= 50


def test_discs_of_others(tmp_path):
    if not proc.has_tool("xorriso"):
        pytest.skip("xorriso is not installed")
    (tmp_path / "user-data").write_text("hello")
    path = tmp_path / "seed.iso"
    words = ["xorriso", "-as", "mkisofs", "-quiet", "-R", "-V", "cidata", "-o", str(path)]
    subprocess.run([*words, str(tmp_path / "user-data")], check=True, capture_output=True)
    assert disc.content(path, "user-data", limit=99) == b"hello"


def test_no_disc(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert disc.content(path, "config", limit=9) is None
    with pytest.raises(FileNotFoundError):
        disc.content(tmp_path / "gone", "config", limit=9)
