"""`sampan schema`."""

from __future__ import annotations

import sys

import click

_EPILOG = """\b
Examples:
  sampan schema > sampan.schema.json

\b
An editor with a YAML language server uses it when the file begins with
  # yaml-language-server: $schema=sampan.schema.json
"""


@click.command("schema", epilog=_EPILOG)
def command() -> None:
    """Print the JSON Schema of the YAML file.

    With it, editors complete keys and mark faults while you write.
    """
    from sampan.spec import schema

    sys.stdout.buffer.write(schema.json_schema())
