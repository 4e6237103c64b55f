"""Every example runs: systems are checked, programs run."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

from sampan import spec
from sampan.machine import document
from sampan.package import catalog

EXAMPLES = Path(__file__).parents[2] / "examples"
SYSTEMS = sorted(EXAMPLES.glob("systems/*.yml"))
MACHINES = sorted(EXAMPLES.glob("machine/*.yml"))  # tests/cli/test_run_document.py runs them
PROGRAMS = sorted(EXAMPLES.rglob("*.py"))


def _name(path):
    return str(path.relative_to(EXAMPLES))


@pytest.mark.parametrize("path", SYSTEMS, ids=_name)
def test_system_is_sound(path):
    """As `sampan build --dry-run` does; and what it names of the catalog is there."""
    system = spec.load([spec.Source.file(path)], resolve_package=lambda folder: "me/it:1")
    images = [
        system.kernel.image,
        *system.init,
        *(each.image for _, _, each in system.containers()),
    ]
    unknown = [
        image
        for image in images
        if isinstance(image, str) and image.startswith("sampan/") and catalog.find(image) is None
    ]
    assert unknown == []


@pytest.mark.parametrize("path", MACHINES, ids=_name)
def test_machine_is_sound(path):
    document.load(path).check()


@pytest.mark.parametrize("path", PROGRAMS, ids=_name)
def test_program_says_what_it_shows(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def _boots(path):
    return path.parent.name == "machine"


@pytest.mark.parametrize("path", [each for each in PROGRAMS if not _boots(each)], ids=_name)
def test_program_runs(path, tmp_path):
    _run(path, tmp_path)


@pytest.mark.guest
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("path", [each for each in PROGRAMS if _boots(each)], ids=_name)
def test_program_that_boots_a_machine_runs(path, tmp_path):
    _run(path, tmp_path)


def _run(path, tmp_path):
    done = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


DOCUMENTS = [EXAMPLES.parent / "README.md", *sorted((EXAMPLES.parent / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```yaml\n(.*?)^```", re.DOTALL | re.MULTILINE)


MACHINE = re.compile(r"^kernel: [^ {]", re.MULTILINE)  # of a system it is a mapping
BLOCKS = [
    (path, text)
    for path in DOCUMENTS
    if "_build" not in path.parts
    for text in BLOCK.findall(path.read_text())
    if re.search("^(kernel|services):", text, re.MULTILINE)
]


def test_machines_in_the_documentation_are_sound():
    blocks = [(path, text) for path, text in BLOCKS if MACHINE.search(text)]
    assert blocks
    for path, text in blocks:
        document.from_yaml(text.encode(), name=path.name).check()


def test_systems_in_the_documentation_are_sound():
    blocks = [(path, text) for path, text in BLOCKS if not MACHINE.search(text)]
    assert blocks
    for path, text in blocks:
        source = spec.Source.text(text, path.name, folder=path.parent)
        spec.load([source], resolve_package=lambda folder: "me/it:1")
