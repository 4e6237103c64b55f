import pytest

from sampan.errors import UsageError
from sampan.machine.storage import iso, metadata


def test_linuxkits_form():
    assert metadata.disc(b"text") == iso.build("config", {"config": b"text"})


def test_nocloud():
    assert metadata.nocloud(b"u") == iso.build("cidata", {"user-data": b"u", "meta-data": b""})
    assert metadata.nocloud(b"u", b"m", b"n") == iso.build(
        "cidata", {"user-data": b"u", "meta-data": b"m", "network-config": b"n"}
    )


def test_data_is_read_and_discs_are_written(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"x")
    assert metadata.read_data(path) == b"x"
    metadata.write(tmp_path / "a.iso", b"disc")
    assert (tmp_path / "a.iso").read_bytes() == b"disc"
    assert (tmp_path / "a.iso").stat().st_mode & 0o777 == 0o600
    with pytest.raises(UsageError, match=r"cannot read .*: No such file"):
        metadata.read_data(tmp_path / "missing")
    with pytest.raises(UsageError, match="cannot write"):
        metadata.write(tmp_path / "no" / "a.iso", b"disc")


def test_too_much_data_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(iso, "MAX_CONTENT_BYTES", 10)
    path = tmp_path / "data"
    path.write_bytes(bytes(11))
    with pytest.raises(UsageError, match="more than"):
        metadata.read_data(path)
