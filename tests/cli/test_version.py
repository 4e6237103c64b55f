import json
import platform
import tomllib
from pathlib import Path

import sampan as package


def test_version_in_each_form(sampan):
    assert sampan("version", "-short").out == f"{package.__version__}\n"
    assert package.__version__ in sampan("version").out
    assert json.loads(sampan("version", "--json").out) == {
        "version": package.__version__,
        "python": platform.python_version(),
    }


def test_the_project_file_has_no_other_version():
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"] == {"path": "src/sampan/__init__.py"}
