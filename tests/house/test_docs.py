"""The parts of the documentation that are written from the code, and the code in the others."""

import ast
import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

from sampan.cli import argv, main
from sampan.cli.verb import VERBS
from sampan.machine.driver import Capability
from sampan.machine.drivers.hyperkit import HyperKitDriver
from sampan.machine.drivers.qemu import QemuDriver
from sampan.machine.drivers.vfkit import VfkitDriver

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


def test_every_capability_of_every_driver_is_told(generated):
    rows = (generated / "drivers.md").read_text().splitlines()
    assert rows[0] == "| what | flag | qemu | vfkit | hyperkit |"
    told = {row.split("`")[-2]: row.split(" | ")[2:] for row in rows[2:] if row}
    assert set(told) == set(Capability)
    drivers = (QemuDriver, VfkitDriver, HyperKitDriver)
    for number, capabilities in enumerate(each.capabilities for each in drivers):
        can = {name for name, cells in told.items() if cells[number].strip(" |") == "yes"}
        assert can == capabilities


BLOCK = re.compile(r"^```(console|python)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [DOCS.parent / "README.md", *sorted(DOCS.rglob("*.md"))]
BLOCKS = [
    (path.name, kind, text)
    for path in PAGES
    if not {"_build", "_generated"} & set(path.parts)
    for kind, text in BLOCK.findall(path.read_text())
]


def _commands():
    """Every `sampan …` that a console shows, as words."""
    for page, kind, text in BLOCKS:
        for line in text.splitlines() if kind == "console" else ():
            found = re.match(r"\$ (?:sudo )?(?:\w+=\S+ )?(sampan [^|>&#]*)", line)
            if found is not None and "…" not in found[1] and not found[1].rstrip().endswith("\\"):
                yield page, shlex.split(found[1])[1:]


def _options(command, context):
    params = command.get_params(context)
    return {word for each in params for word in (*each.opts, *each.secondary_opts)}


@pytest.mark.parametrize(("page", "words"), list(_commands()))
def test_commands_that_are_shown_exist(page, words):
    """Their verbs and long options; whether the files they name are there is not asked."""
    command: click.Command = main.sampan
    context = click.Context(command, **main.sampan.context_settings)
    known = _options(command, context)
    for word in argv.rewrite(main.sampan, words):
        if word.startswith("--"):
            assert word.partition("=")[0] in known, page
        elif isinstance(command, click.Group) and command.get_command(context, word) is not None:
            command = command.get_command(context, word)  # type: ignore[assignment]  # just asked
            context = click.Context(command, parent=context)
            known |= _options(command, context)
    assert not isinstance(command, click.Group) or words[-1].startswith("-"), page


@pytest.mark.parametrize(("page", "text"), [(p, t) for p, kind, t in BLOCKS if kind == "python"])
def test_imports_that_are_shown_work(page, text):
    """And the rest is Python."""
    for node in ast.walk(ast.parse(text, page)):
        if isinstance(node, ast.ImportFrom):
            module = importlib.import_module(str(node.module))
            for each in node.names:
                if not hasattr(module, each.name):
                    importlib.import_module(f"{node.module}.{each.name}")
        elif isinstance(node, ast.Import):
            for each in node.names:
                importlib.import_module(each.name)
