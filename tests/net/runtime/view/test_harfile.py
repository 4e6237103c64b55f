import errno
import json
import os

import pytest

from sampan.net.runtime.view.harfile import HarFile, HarFileError
from sampan.net.services.httpview import Exchange

SEEN = Exchange(
    number=0, method="GET", url="http://x/", version="HTTP/1.1", started=1.0,
    request_fields=(("Cookie", "a=b"),), request_head_bytes=9, request_body_bytes=0,
)  # fmt: skip


def read(path):
    return json.loads(path.read_bytes())["log"]["entries"]


@pytest.fixture
def make(tmp_path):
    made = []

    def make(**options):
        made.append(HarFile(tmp_path / "x.har", version="1", epoch_s=1e9, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_it_is_whole_after_every_entry(make):
    file = make()
    assert read(file.path) == []
    for count in (1, 2, 3):
        file.add(SEEN, server="192.0.2.1", connection="7")
        assert len(read(file.path)) == file.count == count
    file.close()
    file.close()
    with pytest.raises(HarFileError, match="is closed"):
        file.add(SEEN, server="192.0.2.1", connection="7")


def test_only_the_owner_may_read_it_and_credentials_are_hidden(make):
    file = make()
    file.add(SEEN, server="192.0.2.1", connection="7")
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert b"a=b" not in file.path.read_bytes()
    shown = make(secrets=True)
    shown.add(SEEN, server="192.0.2.1", connection="7")
    assert b"a=b" in shown.path.read_bytes()


def test_what_was_there_is_replaced(make, tmp_path):
    (tmp_path / "x.har").write_bytes(b"x" * 10_000)
    assert read(make().path) == []


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(HarFileError, match="No such file"):
        HarFile(tmp_path / "no" / "x.har", version="1", epoch_s=0.0)


def test_a_full_disk_leaves_a_whole_file(make, monkeypatch):
    file = make()
    file.add(SEEN, server="192.0.2.1", connection="7")
    left = [30]

    def pwrite(fd, data, position):
        written = real(fd, bytes(data)[: left[0]], position)
        left[0] -= written
        if not left[0]:
            left[0] = 1 << 20
            raise OSError(errno.ENOSPC, "No space left on device")
        return written

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", pwrite)
    with pytest.raises(HarFileError, match="No space left"):
        file.add(SEEN, server="192.0.2.1", connection="8")
    assert len(read(file.path)) == 1


def test_a_pipe_is_no_archive(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HarFileError, match="cannot be written"):
        HarFile(tmp_path / "pipe", version="1", epoch_s=0.0)
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(HarFileError, match="Illegal seek"):
        HarFile(tmp_path / "pipe", version="1", epoch_s=0.0)
    os.close(reader)


def test_a_disk_that_takes_nothing_any_more(make, monkeypatch):
    file = make()

    def fail(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(HarFileError, match="Input/output error"):
        file.add(SEEN, server="192.0.2.1", connection="7")
    with pytest.raises(HarFileError, match="is closed"):
        file.add(SEEN, server="192.0.2.1", connection="7")
