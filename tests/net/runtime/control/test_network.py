import inspect

import pytest

from sampan.net.runtime.control.network import Controlled

METHODS = [name for name in vars(Controlled) if not name.startswith("_")]


@pytest.mark.parametrize("name", METHODS)
def test_the_network_of_these_tests_has_it_all(network, name):
    theirs = inspect.signature(getattr(network, name)).parameters
    ours = list(inspect.signature(getattr(Controlled, name)).parameters)[1:]
    assert list(theirs) == ours
