"""RESULTS.md: every script has a section of its own there, between two marks with its name."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

FILE = Path(__file__).with_name("RESULTS.md")


def parser(doc: str | None, rounds: int) -> argparse.ArgumentParser:
    """The command line of a script: its own flags are added to these."""
    found = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    found.add_argument("--rounds", type=int, default=rounds)
    found.add_argument("--write", action="store_true", help="replace the section of RESULTS.md")
    return found


def show(name: str, section: str, *, write: bool) -> None:
    """Print a section; with `write`, it is that of RESULTS.md from now on, or the last one there."""
    section = section.strip()
    if write:
        mark = f"<!-- {name} -->"
        before, _, rest = FILE.read_text().partition(mark)
        after = rest.partition(mark)[2]
        FILE.write_text(
            f"{before.rstrip()}\n\n{mark}\n{section}\n{mark}\n\n{after.lstrip()}".rstrip() + "\n"
        )
    sys.stdout.write(f"{section}\n")


def rows(head: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *cells]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)
