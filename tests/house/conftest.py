"""The source tree as the house rules see it: every module once parsed."""

import ast
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sampan"
NOT_OURS = SOURCE / "guest" / "packages"  # data that goes into images


class Source(NamedTuple):
    name: str  # sampan.oci.digest; a package by its own name
    path: Path
    text: str
    tree: ast.Module

    @property
    def shown(self) -> str:
        return str(self.path.relative_to(ROOT))


def _source(path: Path) -> Source:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    name = ".".join(part for part in parts if part != "__init__")
    text = path.read_text()
    return Source(name, path, text, ast.parse(text))


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def sources() -> list[Source]:
    paths = sorted(SOURCE.rglob("*.py"))
    return [_source(path) for path in paths if NOT_OURS not in path.parents]


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every file git tracks that is still there."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file() and not path.is_symlink()]
