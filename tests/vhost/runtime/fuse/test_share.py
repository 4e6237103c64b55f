"""A share's limits and its bookkeeping."""

import errno
import resource
import stat

import pytest

from sampan.vhost.runtime.fuse.owner import RecordedOwners
from sampan.vhost.runtime.fuse.share import LIMIT, Setting, raise_limit, share


@pytest.fixture
def served(root):
    served = share(root, RecordedOwners(), Setting(read_only=True, cache_s=0.5), 1024)
    yield served
    served.close()


def test_a_setting(served):
    assert served.patience == (0, 500_000_000)
    with pytest.raises(OSError, match="read-only") as refused:
        served.check_writable()
    assert refused.value.errno == errno.EROFS


def test_what_is_made_up_is_not_believed(served):
    node = served.nodes.make_up(stat.S_IFREG, served.nodes.root, b"x")
    entry = served.entry(node)
    assert entry[16:40] == bytes(24)


def test_what_cannot_be_told_is_forgotten(served, root, monkeypatch):
    (root / "file").touch()
    node, _ = served.nodes.look_up(served.nodes.root, b"file")

    def refuse(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(served.owners, "shown", refuse)
    with pytest.raises(OSError, match="broken"):
        served.entry(node)
    assert len(served.nodes) == 1


def test_what_is_no_folder(tmp_path):
    for name in ("none", "file"):
        (tmp_path / "file").touch()
        with pytest.raises(OSError):  # noqa: PT011  whichever
            share(tmp_path / name, RecordedOwners(), Setting(), 1024)


def test_as_many_descriptors_as_there_may_be():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        limit = raise_limit()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert 0 < limit <= LIMIT
        assert soft == resource.RLIM_INFINITY or soft >= limit
        assert hard == before[1]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
