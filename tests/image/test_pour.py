import hashlib

import pytest

from sampan.errors import SampanError
from sampan.image.pour import chunks_of
from sampan.image.step import HostFile


def host_file(path, content):
    return HostFile(path, len(content), hashlib.sha256(content).digest())


def test_bytes_and_files(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert list(chunks_of(b"abc")) == [b"abc"]
    assert list(chunks_of(b"")) == []
    assert b"".join(chunks_of(host_file(tmp_path / "f", b"abc"))) == b"abc"


def test_only_as_much_as_it_says(tmp_path):
    (tmp_path / "f").write_bytes(b"abc and a mark")
    assert b"".join(chunks_of(host_file(tmp_path / "f", b"abc"))) == b"abc"


@pytest.mark.parametrize("now", [b"abd", b"ab", None])
def test_a_file_that_changed(tmp_path, now):
    if now is not None:
        (tmp_path / "f").write_bytes(now)
    with pytest.raises(SampanError) as caught:
        list(chunks_of(host_file(tmp_path / "f", b"abc")))
    assert str(caught.value) == f"{tmp_path / 'f'} changed while it was read"
