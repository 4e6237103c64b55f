import resource

import pytest

from sampan.net.runtime.host import descriptor
from sampan.net.runtime.host.descriptor import raise_limit, share

INFINITY = resource.RLIM_INFINITY


class System:
    """Pretends to have these limits; takes no more than `most`."""

    def __init__(self, soft, hard, most=1 << 30):
        self.limits = soft, hard
        self.most = most

    def getrlimit(self, which):
        assert which == resource.RLIMIT_NOFILE
        return self.limits

    def setrlimit(self, which, limits):
        if limits[0] > self.most:
            raise ValueError("not allowed to raise maximum limit")
        self.limits = limits


@pytest.mark.parametrize(
    ("soft", "hard", "after"),
    [
        (1024, 524288, 1 << 18),
        (1024, 4096, 4096),
        (256, INFINITY, 1 << 18),
        (1 << 20, 1 << 20, 1 << 20),
        (INFINITY, INFINITY, INFINITY),
    ],
)
def test_as_far_as_it_goes(monkeypatch, soft, hard, after):
    system = System(soft, hard)
    monkeypatch.setattr(resource, "getrlimit", system.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", system.setrlimit)
    assert raise_limit() == after
    assert system.limits == (after, hard)


@pytest.mark.parametrize(("most", "after"), [(descriptor._OPEN_MAX, 10240), (100, 256)])
def test_a_system_that_takes_less_than_it_says(monkeypatch, most, after):
    system = System(256, INFINITY, most)
    monkeypatch.setattr(resource, "getrlimit", system.getrlimit)
    monkeypatch.setattr(resource, "setrlimit", system.setrlimit)
    assert raise_limit() == after


@pytest.mark.parametrize(("soft", "part"), [(1024, 256), (INFINITY, 1 << 16)])
def test_a_share_of_what_there_is(monkeypatch, soft, part):
    monkeypatch.setattr(resource, "getrlimit", System(soft, soft).getrlimit)
    assert share(4) == part
