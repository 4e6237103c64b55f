"""The parts of the documentation that are written from the code."""

import importlib.util
from pathlib import Path

import pytest

from sampan.cli.verb import VERBS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("docs") / "generated"
    module.write(folder)
    return folder


def test_every_key_is_described(generated):
    text = (generated / "yaml.md").read_text()
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    assert {"kernel", "services", "image", "cmdline"} <= {row.split("`")[1] for row in rows}
    assert [row for row in rows if row.split(" | ")[2].strip(" |") == ""] == []


def test_every_command_is_described(generated):
    text = (generated / "commands.md").read_text()
    assert [each.name for each in VERBS if f"## sampan {each.name}\n" not in text] == []
    assert "## sampan cache pull\n" in text
