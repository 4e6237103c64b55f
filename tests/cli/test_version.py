import json
import platform
from importlib.metadata import PackageNotFoundError

import pytest

import sampan as package


def test_version_in_each_form(sampan):
    assert sampan("version", "-short").out == f"{package.__version__}\n"
    assert package.__version__ in sampan("version").out
    assert json.loads(sampan("version", "--json").out) == {
        "version": package.__version__,
        "python": platform.python_version(),
    }


def test_a_tree_that_is_not_installed_says_so(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", missing)
    assert package.__version__ == "0+unknown"


def test_package_has_nothing_else():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        package.nothing  # noqa: B018
